package routing

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/isthmus-proxy/isthmus/translate"
)

// link finishes a deployment: its address and its Translator.
func (d *Deployment) link() error {
	base, err := url.Parse(d.target.BaseURL)
	if err != nil || base.Host == "" {
		return fmt.Errorf("api_base %q is not a URL with a host", d.target.BaseURL)
	}
	d.BaseURL, d.scheme, d.authority = d.target.BaseURL, base.Scheme, authority(base)
	if d.wildcard() {
		return nil // bound per request, when the model is known
	}
	d.translator, err = translate.Bind(&d.target)
	return err
}

// authority is the host as it is sent: without the scheme's own port.
func authority(u *url.URL) string {
	if u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80" {
		return strings.TrimSuffix(u.Host, ":"+u.Port())
	}
	return u.Host
}

// index groups the deployments by model name and spreads the weights.
func (r *Router) index(deployments []*Deployment) {
	r.deployments = deployments
	r.groups = make(map[string][]*Deployment)
	var order []string
	for _, d := range deployments {
		if _, ok := r.groups[d.Group]; !ok {
			order = append(order, d.Group)
		}
		r.groups[d.Group] = append(r.groups[d.Group], d)
	}
	for _, name := range order {
		fillWeights(r.groups[name])
		r.models = append(r.models, name)
		if strings.Contains(name, "*") {
			r.patterns = append(r.patterns, newPattern(name, r.groups[name]))
		}
	}
	sortPatterns(r.patterns)
}

// fillWeights gives a deployment without a weight the mean of the others: none
// is starved for having been left out.
func fillWeights(group []*Deployment) {
	var sum float64
	var n int
	for _, d := range group {
		if d.Weight > 0 {
			sum += d.Weight
			n++
		}
	}
	mean := 1.0
	if n > 0 {
		mean = sum / float64(n)
	}
	for _, d := range group {
		if d.Weight <= 0 {
			d.Weight = mean
		}
	}
}
