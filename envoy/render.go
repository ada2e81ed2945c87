package envoy

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"gopkg.in/yaml.v3"
)

// YAML writes a message as Envoy's configuration files have it.
func YAML(m proto.Message) ([]byte, error) {
	t, err := tree(m)
	if err != nil {
		return nil, err
	}
	return marshal(t)
}

// YAML writes the parts under the names they have where they belong; each is
// headed by what to do with it.
func (a *Attachment) YAML() ([]byte, error) {
	var out bytes.Buffer
	section := func(comment, name string, messages ...proto.Message) error {
		list := make([]any, len(messages))
		for i, m := range messages {
			t, err := tree(m)
			if err != nil {
				return err
			}
			list[i] = t
		}
		text, err := marshal(map[string]any{name: list})
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "%s%s\n", comment, text)
		return nil
	}
	out.WriteString(attachmentHead)
	if err := section(filterComment, "http_filters", a.Filter); err != nil {
		return nil, err
	}
	if err := section(hostComment, "virtual_hosts", a.VirtualHost); err != nil {
		return nil, err
	}
	clusters := make([]proto.Message, len(a.Clusters))
	for i, c := range a.Clusters {
		clusters[i] = c
	}
	if err := section(clusterComment, "clusters", clusters...); err != nil {
		return nil, err
	}
	manager, err := YAML(a.Manager)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&out, "%s%s", managerComment, manager)
	if a.ListenerBuffer > 0 {
		fmt.Fprintf(&out, "%sper_connection_buffer_limit_bytes: %d\n", listenerComment, a.ListenerBuffer)
	}
	if a.StreamListener != nil {
		if err := section(streamComment, "listeners", a.StreamListener); err != nil {
			return nil, err
		}
		if err := section(extensionComment, "bootstrap_extensions", a.BootstrapExtension); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

const (
	attachmentHead = `# Parts for an Envoy that has other traffic: each to be put where its comment
# says. docs/envoy.md explains every setting.

`
	filterComment = `# 1. Into http_filters of the HTTP connection manager, before the router filter
#    and after authentication or rate-limit filters of your own. It is disabled:
#    the virtual host below switches it on for itself.
`
	hostComment = `# 2. Into virtual_hosts of the route configuration. No other virtual host may have
#    these domains. A route table that is not sent by RDS also needs
#    validate_clusters: false.
`
	clusterComment = `# 3. Into static_resources.clusters, or what your control plane sends by CDS.
`
	managerComment = `# 4. Into the HTTP connection manager itself; put the mappers before those you
#    have. They give Envoy's own answers OpenAI's error shape, on this virtual host.
`
	listenerComment = `
# 5. Into the listener: before 1.37 its limit is that of a request body.
`
	streamComment = `
# 6. Into static_resources.listeners, or what your control plane sends by LDS. It has
#    no port: streams of a deployment whose time is shorter than another's pass it.
`
	extensionComment = `# 7. Into the bootstrap, which 6 needs.
`
)

// tree returns a message as maps, lists and scalars, with Envoy's field names.
func tree(m proto.Message) (any, error) {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write the Envoy configuration: %w", err)
	}
	var t any
	// JSON is YAML too. Whole numbers become integers: a large float would be written
	// as 1.048576e+06, which Envoy does not take for an integer.
	if err := yaml.Unmarshal(text, &t); err != nil {
		return nil, fmt.Errorf("write the Envoy configuration: %w", err)
	}
	return t, nil
}

// marshal writes YAML with an indent of two. Keys of maps are sorted, so that the
// same input gives the same text.
func marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("write the Envoy configuration: %w", err)
	}
	return out.Bytes(), e.Close()
}
