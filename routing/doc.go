// Package routing decides which deployment serves a request, which one follows
// when that fails, and when. It moves no bytes and knows nothing of Envoy's
// messages: package extproc asks it and tells it what happened.
//
// # A plan, step by step
//
//  1. The name asked for becomes a cascade of stages (resolve.go, cascade.go): a
//     model group, the entries of an alias, then the fallbacks.
//  2. Each stage's deployments are filtered (candidate.go, tags.go, window.go):
//     those that speak the endpoint, are healthy, have room in their limits,
//     carry the request's tags and can hold its prompt; of these, the lowest
//     order.
//  3. The strategy chooses among what is left, attempt by attempt (strategy.go
//     and one file per strategy), until the stage's retries are used up
//     (policy.go); then the next stage follows. The result is the Plan (plan.go).
//     A deployment that turns out to be full is passed over without an attempt:
//     Choices lists those that may serve in its place (choice.go).
//  4. extproc says Begin and Done for each attempt (outcome.go). That feeds the
//     speed of the deployment (latency.go) and its usage (meter.go), which the
//     strategies read, and decides whether it cools down (cooldown.go; health.go
//     keeps that).
//  5. When an attempt fails, Failed plans what follows (retry.go) by the kind of
//     the failure, which its translator has decided (verdict.go), within the retry budget (retrybudget.go), the deadline, and with a
//     pause where one helps (backoff.go).
//
// Cooldowns are shared with other replicas, when there is a store, by a
// [CooldownSharer] (cooldown_share.go): never on a request's path.
//
// # Packages below
//
// config reads the whole model config, that of callbacks, cache and log included. It
// stands here because a Router is built from it (build.go) and most of it is about
// routing; it imports none of what it configures. limit holds the rates and the
// queue, store what replicas share. wildcard, file and guard are small helpers, and
// simulate shows in pictures what the strategies do.
//
// A Router's configuration never changes. What changes is held in atomics, or
// under small locks that no choice among deployments takes.
package routing
