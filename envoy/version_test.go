package envoy

import (
	"strings"
	"testing"
)

func TestVersionsOfEnvoy(t *testing.T) {
	for text, want := range map[string]Version{"1.36": 36, "1.36.4": 36, "v1.40.0": 40, "1.40.3-dev": 40, "1.41.0": 41} {
		if got, err := ParseVersion(text); err != nil || got != want {
			t.Errorf("ParseVersion(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "no Envoy version", "40": "no Envoy version", "1": "no Envoy version", "1.": "no Envoy version", "2.0": "no Envoy version",
		"1.-40": "no Envoy version", "1.4x": "no Envoy version", "1.35.9": "too old", "1.4": "too old",
	} {
		if got, err := ParseVersion(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseVersion(%q) = %d, %v; want …%s…", text, got, err, want)
		}
	}
}

func TestHowEachVersionCarriesThePlan(t *testing.T) {
	for v, want := range map[Version]string{36: "aggregate", 37: "composite", 39: "composite", 40: "priority_group", 41: "priority_group"} {
		if got := v.PlanName(); got != want {
			t.Errorf("Envoy %s: %s, want %s", v, got, want)
		}
	}
}

func TestVersionsOfIstioAndTheirEnvoys(t *testing.T) {
	for text, want := range map[string]string{"1.28": "1.36", "1.29.1": "1.37", "v1.30.0": "1.38", "1.31": "1.39"} {
		if got, err := ParseIstioVersion(text); err != nil || got.Envoy().String() != want {
			t.Errorf("Istio %s has Envoy %s, %v; want %s", text, got.Envoy(), err, want)
		}
	}
	for text, want := range map[string]string{"": "no Istio version", "1.27.3": "too old", "1.32": "newest known", "x": "no Istio version"} {
		if got, err := ParseIstioVersion(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseIstioVersion(%q) = %d, %v; want …%s…", text, got, err, want)
		}
	}
}
