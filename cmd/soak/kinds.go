package main

import (
	"fmt"
	"math/rand/v2"
)

// kind is one sort of request.
type kind struct {
	name   string
	share  int // of all requests
	model  string
	stream bool
	prompt func(*rand.Rand) int // bytes of the prompt besides the script; nil: none
	script func(*rand.Rand) script

	leaves bool // the client goes away in the middle
	slow   bool // the client reads slowly
	broken bool // the provider breaks off its answer: a visible cut is a clean end
}

const (
	kib = 1 << 10
	mib = 1 << 20
)

// upTo is a random number of bytes.
func upTo(n int) func(*rand.Rand) int {
	return func(r *rand.Rand) int { return r.IntN(n) }
}

// kinds is the mix. Every request in it is valid and of a size that is met in
// practice.
func kinds() []kind {
	blocking := func(n int) func(*rand.Rand) script {
		return func(r *rand.Rand) script { return script{size: r.IntN(n), wait: r.IntN(20)} }
	}
	streamed := func(n, chunks, pause int) func(*rand.Rand) script {
		return func(r *rand.Rand) script {
			return script{size: r.IntN(n), chunks: 1 + r.IntN(chunks), pause: r.IntN(pause + 1)}
		}
	}
	failing := func(status, errors int) func(*rand.Rand) script {
		return func(r *rand.Rand) script {
			return script{size: r.IntN(64 * kib), chunks: 1 + r.IntN(50), status: status, errors: r.IntN(errors)}
		}
	}
	return []kind{
		{name: "small answers", share: 20, model: "openai", script: blocking(4 * kib)},
		{name: "large answers", share: 4, model: "openai", script: blocking(4 * mib)},
		{name: "large translated answers", share: 3, model: "claude", script: blocking(2 * mib)},
		{name: "large requests", share: 4, model: "openai", prompt: upTo(4 * mib), script: blocking(4 * kib)},
		{name: "large translated requests", share: 3, model: "claude", prompt: upTo(2 * mib), script: blocking(4 * kib)},
		{name: "streams", share: 12, model: "openai", stream: true, script: streamed(16*kib, 100, 3)},
		{name: "translated streams", share: 8, model: "claude", stream: true, script: streamed(16*kib, 100, 3)},
		{name: "fast streams", share: 4, model: "openai", stream: true, script: streamed(4*mib, 400, 0)},
		{name: "fast translated streams", share: 4, model: "claude", stream: true, script: streamed(4*mib, 400, 0)},
		{name: "slow readers", share: 3, model: "openai", stream: true, slow: true, script: streamed(2*mib, 100, 0)},
		{name: "slow readers, translated", share: 3, model: "claude", stream: true, slow: true, script: streamed(2*mib, 100, 0)},
		{name: "retries after an error", share: 8, model: "cascade", script: failing(500, 4*kib)},
		{name: "retries of large requests", share: 4, model: "cascade", prompt: upTo(4 * mib), script: failing(503, 4*kib)},
		{name: "retries of large errors", share: 4, model: "cascade", script: failing(500, 2*mib)},
		{name: "retries of streams", share: 6, model: "cascade", stream: true, script: failing(429, 64*kib)},
		{name: "retries after a reset", share: 5, model: "cascade", prompt: upTo(mib), script: failing(0, 1)},
		{name: "retries after a timeout", share: 2, model: "impatient", prompt: upTo(mib), script: func(r *rand.Rand) script {
			return script{size: r.IntN(64 * kib), hang: 1}
		}},
		{name: "errors", share: 4, model: "broken", script: failing(400, 4*kib)},
		{name: "large errors", share: 4, model: "broken", script: failing(400, 2*mib)},
		{name: "errors after retries", share: 3, model: "broken", prompt: upTo(mib), script: failing(500, mib)},
		{name: "answers cut off", share: 2, model: "broken", broken: true, script: func(r *rand.Rand) script {
			return script{size: r.IntN(mib), cut: 1}
		}},
		{name: "streams cut off", share: 2, model: "broken", stream: true, broken: true, script: func(r *rand.Rand) script {
			return script{size: r.IntN(mib), chunks: 2 + r.IntN(50), cut: 1}
		}},
		{name: "clients leaving", share: 4, model: "openai", prompt: upTo(2 * mib), leaves: true, script: blocking(2 * mib)},
		{name: "clients leaving streams", share: 4, model: "claude", stream: true, leaves: true, script: streamed(2*mib, 100, 3)},
		{name: "clients leaving retries", share: 4, model: "cascade", prompt: upTo(mib), leaves: true, script: failing(500, mib)},
	}
}

// deployment is an entry of model_list.
func deployment(name, model, address, more string) string {
	return fmt.Sprintf("- model_name: %s\n  litellm_params: {model: %s, api_key: sk-soak, api_base: %q%s}\n", name, model, address, more)
}

// modelConfig is the model config of the gateway; base is the providers' address.
func modelConfig(base string) string {
	entry := func(name, model, path, more string) string { return deployment(name, model, base+path, more) }
	return "model_list:\n" +
		entry("openai", "openai/up", "/good/v1", "") +
		entry("claude", "anthropic/claude", "/good", "") +
		entry("failing", "openai/up", "/failing/v1", "") +
		entry("failing", "anthropic/claude", "/failing", "") +
		entry("slow", "openai/up", "/failing/v1", ", timeout: 2, num_retries: 0") +
		entry("quick", "anthropic/claude", "/good", ", timeout: 2") +
		entry("broken", "openai/up", "/failing/v1", "") +
		entry("broken", "anthropic/claude", "/failing", "") +
		"router_settings:\n  num_retries: 2\n  cooldown_time: 0\n" +
		"  model_group_alias: {cascade: [failing, openai, claude], impatient: [slow, quick]}\n" +
		"general_settings: {retry_budget_percent: 100, retry_budget_min_per_second: 100000}\n"
}
