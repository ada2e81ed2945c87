package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"

	"gopkg.in/yaml.v3"

	"github.com/isthmus-proxy/isthmus/envoy/process"
)

// attach runs an Envoy of this program's own with what `isthmus envoy` writes.
func (g *gateway) attach(ctx context.Context, o options, binary process.Binary, processor string, port int) error {
	format := []string{"--format", "bootstrap", "--listen", "127.0.0.1:" + strconv.Itoa(port)}
	if o.attach == "filters" {
		format = []string{"--format", "filters", "--domain", "127.0.0.1"}
	}
	args := append([]string{"envoy", "--config", g.config, "--envoy-version", binary.Version, "--processor", processor}, format...)
	text, err := exec.CommandContext(ctx, o.isthmus, args...).Output()
	if err != nil {
		return fmt.Errorf("isthmus envoy: %w", err)
	}
	var config map[string]any
	if err := yaml.Unmarshal(text, &config); err != nil {
		return err
	}
	if o.attach == "filters" {
		config = host(config, port)
	}
	admin := filepath.Join(o.dir, "admin.sock")
	config["admin"] = map[string]any{"address": map[string]any{"pipe": map[string]any{"path": admin}}}
	if text, err = yaml.Marshal(config); err != nil {
		return err
	}
	if g.own, err = process.Start(binary, text, process.Options{AdminSocket: admin, Concurrency: o.concurrency}); err != nil {
		return err
	}
	ready, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	return g.own.Ready(ready)
}

// host is an Envoy that somebody else configures, with the parts of --format
// filters pasted in as their comments say.
func host(parts map[string]any, port int) map[string]any {
	type object = map[string]any
	router := object{"name": "envoy.filters.http.router", "typed_config": object{
		"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}
	manager := object{
		"@type":       "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
		"stat_prefix": "host", "http_filters": append(parts["http_filters"].([]any), router),
		"route_config": object{"name": "host", "validate_clusters": false, "virtual_hosts": parts["virtual_hosts"]},
	}
	if shapes := parts["local_reply_config"]; shapes != nil {
		manager["local_reply_config"] = shapes
	}
	listener := object{
		"name": "host", "address": object{"socket_address": object{"address": "127.0.0.1", "port_value": port}},
		"filter_chains": []any{object{"filters": []any{
			object{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager},
		}}},
	}
	if limit := parts["per_connection_buffer_limit_bytes"]; limit != nil {
		listener["per_connection_buffer_limit_bytes"] = limit
	}
	return object{"static_resources": object{"listeners": []any{listener}, "clusters": parts["clusters"]}}
}
