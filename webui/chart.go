package webui

// point is a value with its name.
type point struct {
	Label string
	Value int64
}

// chart is a row of bars, as the templates draw it.
type chart struct {
	Bars   []bar
	Most   int64
	Points []point
}

// bar is a rectangle in a picture of chartWidth by chartHeight.
type bar struct {
	X, Y, Width, Height int
	Label               string // below it, where there is room
	Title               string
}

const (
	chartWidth  = 720
	chartHeight = 140
	chartTop    = 24
	chartFoot   = 22
)

func newChart(points []point) chart {
	c := chart{Points: points}
	for _, p := range points {
		c.Most = max(c.Most, p.Value)
	}
	if len(points) == 0 {
		return c
	}
	each := chartWidth / len(points)
	room := chartHeight - chartTop - chartFoot
	for i, p := range points {
		b := bar{X: i*each + 2, Width: max(each-4, 2), Title: p.Label}
		if c.Most > 0 {
			b.Height = int(int64(room) * p.Value / c.Most)
		}
		if p.Value > 0 {
			b.Height = max(b.Height, 2)
		}
		b.Y = chartHeight - chartFoot - b.Height
		if i%6 == 0 {
			b.Label = p.Label
		}
		c.Bars = append(c.Bars, b)
	}

	return c
}
