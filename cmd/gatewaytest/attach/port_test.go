package attach

import (
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

const portSecret = "a-secret-of-the-port-0123456789"

// TestEnvoySaysTheSecretOrShowsItsCertificate is whole gateways: the request is
// served where the two know each other, and refused where they do not.
func TestEnvoySaysTheSecretOrShowsItsCertificate(t *testing.T) {
	ca, others := storetest.NewAuthority(t), storetest.NewAuthority(t)
	cert, key := ca.Issue(t, "isthmus", "isthmus.test")
	clientCert, clientKey := ca.Issue(t, "envoy", "envoy.test")
	strangerCert, strangerKey := others.Issue(t, "stranger", "envoy.test")
	secret := gatewaytest.SecretFile(t, "another-secret-that-comes-after-it", portSecret)
	said := gatewaytest.SecretFile(t, portSecret)
	tls := []string{"--tls-cert", cert, "--tls-key", key, "--tls-client-ca", ca.CAFile}
	towards := []string{"--processor-ca", ca.CAFile, "--processor-name", "isthmus.test"}
	t.Setenv("ENVOY_PORT_SECRET", portSecret) // process.Start passes ENVOY_… on
	for name, tc := range map[string]struct {
		serve, envoy []string
		release      string
		status       int
	}{
		"a secret":       {[]string{"--shared-secret-file", secret}, []string{"--shared-secret-file", said}, "1.40.0", 200},
		"a secret, 1.36": {[]string{"--shared-secret-file", secret}, []string{"--shared-secret-file", said}, "1.36.4", 200},
		"of Envoy's environment": {[]string{"--shared-secret-file", secret}, []string{"--shared-secret-env", "ENVOY_PORT_SECRET"}, "1.40.0",
			200},
		"of the environment of 1.36": {[]string{"--shared-secret-file", secret}, []string{"--shared-secret-env", "ENVOY_PORT_SECRET"}, "1.36.4",
			200},
		"no secret": {[]string{"--shared-secret-file", secret}, nil, "1.40.0", 503},
		"a variable that is not set": {[]string{"--shared-secret-file", secret}, []string{"--shared-secret-env", "NOBODYS_SECRET"}, "1.40.0",
			503},
		"certificates":             {tls, append(towards, "--processor-cert", clientCert, "--processor-key", clientKey), "1.40.0", 200},
		"certificates, 1.36":       {tls, append(towards, "--processor-cert", clientCert, "--processor-key", clientKey), "1.36.4", 200},
		"a stranger's certificate": {tls, append(towards, "--processor-cert", strangerCert, "--processor-key", strangerKey), "1.40.0", 503},
		"no certificate":           {tls, towards, "1.40.0", 503},
		"plain text":               {tls, nil, "1.40.0", 503},
		"TLS and a secret": {append(tls[:4:4], "--shared-secret-file", secret), append(towards, "--shared-secret-file", said),
			"1.40.0", 200},
		"the service of another name": {tls, []string{"--processor-ca", ca.CAFile, "--processor-cert", clientCert, "--processor-key", clientKey,
			"--processor-name", "else.test"}, "1.40.0", 503},
	} {
		t.Run(name, func(t *testing.T) {
			p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
			a := gatewaytest.ServeAt(t, "127.0.0.1:"+asynctest.FreePort(t), "model_list:\n"+gatewaytest.Entry("m", p.Base(), ""), tc.serve...)
			args := append(
				[]string{"--listen", "127.0.0.1:" + a.Port, "--admin", "unix://" + a.AdminSocket(), "--processor", a.Processor, "--access-log", ""},
				tc.envoy...)
			config := a.EnvoyConfig(append(args, "--envoy-version", tc.release[:4])...)
			a.StartEnvoy(tc.release, config)
			got := a.Post("/v1/chat/completions", gatewaytest.Ask)
			if got.Status != tc.status {
				t.Errorf("%d: %s", got.Status, got.Body)
			}
			if log := a.Stderr.String(); strings.Contains(log, portSecret) {
				t.Errorf("the secret is in the log:\n%s", log)
			}
			if n := len(p.Calls()); n > 0 != (tc.status == 200) {
				t.Errorf("the provider was asked %d times", n)
			}
		})
	}
}
