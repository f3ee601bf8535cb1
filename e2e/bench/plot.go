package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Sizes of a plot, in pixels.
const (
	panelWidth, panelHeight = 400, 280
	marginLeft, marginTop   = 60, 40
	marginRight             = 30
	marginBottom            = 40
	legendHeight            = 30
)

var colours = []string{"#1b6ca8", "#c0392b", "#2e8b57", "#8e5ea2"}

// A plot is one image of distributions: a panel for each case, in it a line for each program. Across stands the share
// of the values, with the same room for each further nine, and upwards the time, as its logarithm.
type plot struct {
	report           *report
	section, measure string
	programs         []string
	low, high, nines float64 // decades of ns, and the nines at the right edge
	text             strings.Builder
}

// svg returns the image, or "" if nothing of the section was measured.
func (r *report) svg(section, measure string) string {
	p := &plot{report: r, section: section, measure: measure, programs: r.programs(section), low: math.Inf(1)}
	cases := r.cases(section)
	for _, s := range r.Series {
		if s.Section == section && s.Measure == measure {
			p.low = min(p.low, math.Floor(math.Log10(slices.Min(s.Values))))
			p.high = max(p.high, math.Ceil(math.Log10(slices.Max(s.Values))))
			p.nines = max(p.nines, math.Ceil(math.Log10(float64(len(s.Values)))))
		}
	}
	if len(cases) == 0 {
		return ""
	}
	across := min(2, len(cases))
	width, height := across*panelWidth, (len(cases)+1)/2*panelHeight+legendHeight
	fmt.Fprintf(&p.text, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" `+
		`font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&p.text, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	for i, program := range p.programs {
		x := float64(marginLeft + i*panelWidth/2)
		fmt.Fprintf(&p.text, `<path d="M%g 15h25" stroke="%s" stroke-width="2"/>`+"\n", x, colours[i%len(colours)])
		p.label(x+30, 19, "start", program)
	}
	for i, c := range cases {
		p.panel(float64(i%2*panelWidth), float64(i/2*panelHeight+legendHeight), c)
	}
	return p.text.String() + "</svg>\n"
}

func (p *plot) label(x, y float64, anchor, text string) {
	fmt.Fprintf(&p.text, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", x, y, anchor, text)
}

// panel draws the lines of one case, with the axes.
func (p *plot) panel(left, top float64, c string) {
	const width, height = panelWidth - marginLeft - marginRight, panelHeight - marginTop - marginBottom
	x := func(share float64) float64 {
		return left + marginLeft + width*min(1, -math.Log10(1-share)/p.nines)
	}
	y := func(ns float64) float64 {
		return top + marginTop + height*(p.high-math.Log10(ns))/(p.high-p.low)
	}
	p.label(left+marginLeft+width/2, top+marginTop-10, "middle", c)
	for decade := p.low; decade <= p.high; decade++ {
		at := y(math.Pow(10, decade))
		fmt.Fprintf(&p.text, `<path d="M%.1f %.1fh%d" stroke="#ddd"/>`+"\n", left+marginLeft, at, width)
		p.label(left+marginLeft-6, at+4, "end", duration(math.Pow(10, decade)))
	}
	for _, q := range quantiles {
		if -math.Log10(1-q.at) > p.nines+0.01 {
			break
		}
		at := x(q.at)
		fmt.Fprintf(&p.text, `<path d="M%.1f %.1fv%d" stroke="#ddd"/>`+"\n", at, top+marginTop, height)
		p.label(at, top+marginTop+height+16, "middle", q.name)
	}
	for i, program := range p.programs {
		values := slices.Sorted(slices.Values(p.report.values(p.section, c, program, p.measure)))
		var points strings.Builder
		for k, value := range values {
			fmt.Fprintf(&points, "%.1f,%.1f ", x((float64(k)+0.5)/float64(len(values))), y(value))
		}
		fmt.Fprintf(&p.text, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n",
			strings.TrimSpace(points.String()), colours[i%len(colours)])
	}
}
