package extproc

import "testing"

// count is the value of the first counter of a name that has the label.
func (h *house) count(t *testing.T, name, label, value string) float64 {
	t.Helper()
	families, err := h.counts.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetName() == label && l.GetValue() == value {
					return m.GetCounter().GetValue()
				}
			}
		}
	}
	return 0
}
