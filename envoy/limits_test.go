package envoy

import (
	"math"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"
	"gopkg.in/yaml.v3"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

// processorNames finds the clusters that the ext_proc filters of a YAML tree name,
// by the filter that each says it is.
func processorNames(node any, found map[string]map[string]bool) {
	switch n := node.(type) {
	case []any:
		for _, each := range n {
			processorNames(each, found)
		}
	case map[string]any:
		for _, each := range n {
			processorNames(each, found)
		}
		service, ok := n["grpc_service"].(map[string]any)
		if !ok {
			return
		}
		metadata, _ := service["initial_metadata"].([]any)
		for _, m := range metadata {
			if m := m.(map[string]any); m["key"] == names.KeyFilter {
				filter := m["value"].(string)
				if found[filter] == nil {
					found[filter] = map[string]bool{}
				}
				found[filter][service["envoy_grpc"].(map[string]any)["cluster_name"].(string)] = true
			}
		}
	}
}

func TestTheFiltersOfTheAttemptsHaveAClusterOfTheirOwnInEveryFormat(t *testing.T) {
	for v := Oldest; v <= Newest; v++ {
		in := input(Upstream{Cluster: "c", Deployment: "d", URL: "http://127.0.0.1:1"})
		in.Version, in.Domains = v, []string{"llm.example.com"}
		in.Orders = []Order{{Name: "o", Clusters: []string{"c"}}}
		in.Processors = []Address{{Host: "isthmus.edge.svc.cluster.local", Port: 9100}}
		boot, err := Bootstrap(in)
		if err != nil {
			t.Fatal(err)
		}
		attached, err := Attach(in)
		if err != nil {
			t.Fatal(err)
		}
		for format, clusters := range map[string][]*clusterv3.Cluster{"bootstrap": boot.GetStaticResources().GetClusters(),
			"filters": attached.Clusters} {
			a, b := clusters[0], proto.CloneOf(clusters[1])
			if a.GetName() != ProcessorCluster || b.GetName() != AttemptsCluster ||
				a.GetPerConnectionBufferLimitBytes().GetValue() != math.MaxUint32 {
				t.Errorf("%s of %s: %v", format, v, clusters[:2])
			}
			if got := streamWindow(t, b); got != attemptsStream {
				t.Errorf("%s of %s: a stream of the attempts has a window of %d bytes", format, v, got)
			}
			b.Name, b.LoadAssignment.ClusterName = a.GetName(), a.GetName()
			b.TypedExtensionProtocolOptions = a.GetTypedExtensionProtocolOptions()
			if !proto.Equal(a, b) {
				t.Errorf("%s of %s: the two are not the same service:\n%v\n%v", format, v, a, b)
			}
		}
		text, err := YAML(boot)
		checkProcessors(t, "bootstrap of "+v.String(), text, err, ProcessorCluster, AttemptsCluster, v)
		text, err = attached.YAML()
		checkProcessors(t, "filters of "+v.String(), text, err, ProcessorCluster, AttemptsCluster, v)
	}
}

// streamWindow is the window of a stream to the service's cluster, in bytes.
func streamWindow(t *testing.T, c *clusterv3.Cluster) uint32 {
	t.Helper()
	options := &httpv3.HttpProtocolOptions{}
	if err := c.GetTypedExtensionProtocolOptions()[httpOptionsKey].UnmarshalTo(options); err != nil {
		t.Fatal(err)
	}
	return options.GetExplicitHttpConfig().GetHttp2ProtocolOptions().GetInitialStreamWindowSize().GetValue()
}

func checkProcessors(t *testing.T, what string, text []byte, err error, request, attempts string, v Version) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	found := map[string]map[string]bool{}
	processorNames(tree, found)
	want := map[string]string{names.FilterRequest: request, "retry": attempts}
	if v.retriesFromFilter() {
		want["failure"] = attempts
	}
	for filter, cluster := range want {
		if len(found[filter]) != 1 || !found[filter][cluster] {
			t.Errorf("%s: the filter %s asks %v, want %s", what, filter, found[filter], cluster)
		}
	}
}

func TestAListenerOfOurOwnBoundsWhatAStrangerCanHold(t *testing.T) {
	in := input(Upstream{Cluster: "c", Deployment: "d", URL: "http://127.0.0.1:1"})
	boot, err := Bootstrap(in)
	if err != nil {
		t.Fatal(err)
	}
	runtime := boot.GetLayeredRuntime().GetLayers()[0].GetStaticLayer().GetFields()
	listener, m := boot.GetStaticResources().GetListeners()[0], &hcmv3.HttpConnectionManager{}
	if err := listener.GetFilterChains()[0].GetFilters()[0].GetTypedConfig().UnmarshalTo(m); err != nil {
		t.Fatal(err)
	}
	for what, ok := range map[string]bool{
		"slow headers":                  m.GetRequestHeadersTimeout().AsDuration() == 30*time.Second,
		"slow bodies":                   m.GetRequestTimeout().AsDuration() == 10*time.Minute,
		"answers that nobody takes":     m.GetStreamFlushTimeout().AsDuration() == 5*time.Minute,
		"unused connections":            m.GetCommonHttpProtocolOptions().GetIdleTimeout().AsDuration() == time.Hour,
		"clients that are gone":         listener.GetTcpKeepalive().GetKeepaliveTime().GetValue() == 60,
		"streams of a connection":       m.GetHttp2ProtocolOptions().GetMaxConcurrentStreams().GetValue() == 1000,
		"addresses that clients say":    m.GetUseRemoteAddress().GetValue() && m.GetXffNumTrustedHops() == 0,
		"paths":                         m.GetNormalizePath().GetValue() && m.GetMergeSlashes(),
		"escaped slashes are kept":      m.GetPathWithEscapedSlashesAction() == hcmv3.HttpConnectionManager_KEEP_UNCHANGED,
		"connections":                   len(boot.GetOverloadManager().GetResourceMonitors()) == 1,
		"requests of one turn":          runtime["http.max_requests_per_io_cycle"].GetNumberValue() == 1,
		"what is held for a connection": listener.GetPerConnectionBufferLimitBytes().GetValue() == connectionBuffer,
	} {
		if !ok {
			t.Errorf("%s: not bounded as docs/envoy.md says", what)
		}
	}
}
