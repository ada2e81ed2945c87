package main

import (
	"bytes"
	"fmt"
	"math"
	"strings"
)

// panel is one diagram of the plot, in pixels.
type panel struct{ left, top, width, height float64 }

// plot draws the latencies and the quotas as an SVG.
func plot(results []*result) []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b,
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 470" font-family="Helvetica, Arial, sans-serif" font-size="13">`)
	fmt.Fprintln(&b, `<title>Routing strategies compared</title>`)
	fmt.Fprintln(&b, `<rect width="960" height="470" fill="#ffffff"/>`)
	label(&b, point{20, 28}, lettering{"start", 17, "#1a1a1a"}, "How long requests take, and how far quotas are overrun")
	label(&b, point{20, 48}, lettering{"start", 13, "#555555"},
		"100 deployments, a million requests; a quarter of the deployments is four times slower for an eighth of the time")
	latencyPanel(&b, panel{70, 85, 520, 320}, results)
	quotaPanel(&b, panel{740, 85, 190, 320}, results)
	fmt.Fprintln(&b, `</svg>`)
	return b.Bytes()
}

// colour is a strategy's, told apart by the colour-blind too.
func colour(i int) string {
	return []string{"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00"}[i]
}

// point is a place in the diagram, in pixels.
type point struct{ x, y float64 }

// lettering is how a text looks.
type lettering struct {
	anchor string // which end of the text stands at its point: start, middle, end
	size   int    // pixels
	fill   string
}

func label(b *bytes.Buffer, at point, how lettering, text string) {
	escaped := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
	fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" font-size=\"%d\" fill=\"%s\">%s</text>\n", at.x, at.y, how.anchor, how.size,
		how.fill, escaped)
}

func line(b *bytes.Buffer, from, to point, stroke string) {
	fmt.Fprintf(b, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n", from.x, from.y, to.x, to.y, stroke)
}

// latencyPanel draws seconds (a logarithmic axis) over the share of requests
// that take longer (from half of them to one in ten thousand).
func latencyPanel(b *bytes.Buffer, p panel, results []*result) {
	lowest, highest := math.Inf(1), 0.0
	for _, r := range results {
		lowest, highest = min(lowest, r.percentile(.5)), max(highest, r.percentile(.9999))
	}
	bottom, top := math.Log10(lowest/1.2), math.Log10(highest*1.2)
	x := func(share float64) float64 { // of those that take longer
		return p.left + p.width*(math.Log10(.5)-math.Log10(share))/(math.Log10(.5)+4)
	}
	y := func(seconds float64) float64 {
		return p.top + p.height*(top-math.Log10(seconds))/(top-bottom)
	}
	for _, tick := range []float64{.1, .2, .5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000} {
		if l := math.Log10(tick); l >= bottom && l <= top {
			line(b, point{p.left, y(tick)}, point{p.left + p.width, y(tick)}, "#e4e4e4")
			label(b, point{p.left - 8, y(tick) + 4}, lettering{"end", 12, "#555555"}, fmt.Sprintf("%g s", tick))
		}
	}
	for _, tick := range []struct {
		share float64
		text  string
	}{{.5, "50 %"}, {.1, "90 %"}, {.01, "99 %"}, {.001, "99.9 %"}, {.0001, "99.99 %"}} {
		line(b, point{x(tick.share), p.top}, point{x(tick.share), p.top + p.height}, "#e4e4e4")
		label(b, point{x(tick.share), p.top + p.height + 20}, lettering{"middle", 12, "#555555"}, tick.text)
	}
	label(b, point{p.left + p.width/2, p.top + p.height + 42}, lettering{"middle", 13, "#1a1a1a"}, "so many requests are answered within")
	ends := make([]float64, len(results))
	for i, r := range results {
		curve(b, colour(i), func(share float64) point { return point{x(share), y(r.percentile(1 - share))} })
		ends[i] = y(r.percentile(.9999)) + 4
	}
	for i, at := range spread(ends, 16) {
		label(b, point{p.left + p.width + 8, at}, lettering{"start", 12, colour(i)}, results[i].strategy)
	}
}

// curve draws one strategy's latencies: at says where the share of requests that
// take longer stands.
func curve(b *bytes.Buffer, stroke string, at func(share float64) point) {
	fmt.Fprintf(b, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"", stroke)
	const steps = 120
	for i := range steps + 1 {
		share := math.Pow(10, math.Log10(.5)-(math.Log10(.5)+4)*float64(i)/steps)
		next := at(share)
		fmt.Fprintf(b, "%.1f,%.1f ", next.x, next.y)
	}
	fmt.Fprintln(b, `"/>`)
}

// spread moves positions apart so that labels there do not cover each other.
func spread(at []float64, gap float64) []float64 {
	out := append([]float64(nil), at...)
	for range 50 {
		for i := range out {
			for j := range out {
				if d := out[j] - out[i]; i != j && math.Abs(d) < gap && (d > 0 || d == 0 && j > i) {
					shift := (gap - d) / 2
					out[i], out[j] = out[i]-shift, out[j]+shift
				}
			}
		}
	}
	return out
}

// quotaPanel draws bars of the tokens beyond a quota.
func quotaPanel(b *bytes.Buffer, p panel, results []*result) {
	most := 0.01
	for _, r := range results {
		most = max(most, r.overshoot)
	}
	label(b, point{p.left + p.width/2, p.top + p.height + 42}, lettering{"middle", 13, "#1a1a1a"}, "tokens beyond a quota")
	step := p.height / float64(len(results))
	for i, r := range results {
		top := p.top + step*float64(i)
		width := max((p.width-50)*r.overshoot/most, 1)
		label(b, point{p.left, top + 14}, lettering{"start", 12, "#1a1a1a"}, r.strategy)
		fmt.Fprintf(b, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"22\" fill=\"%s\"/>\n", p.left, top+20, width, colour(i))
		label(b, point{p.left + width + 6, top + 36}, lettering{"start", 12, "#555555"}, fmt.Sprintf("%.1f %%", 100*r.overshoot))
	}
	line(b, point{p.left, p.top}, point{p.left, p.top + p.height}, "#999999")
}
