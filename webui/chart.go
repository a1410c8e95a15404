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

// bar is a rectangle, in percent of the picture: that is as wide as the page, and
// what is written in it stays as large as elsewhere.
type bar struct {
	X, Y, Width, Height float64
	Label               string // below it, where there is room
}

const (
	whole     = 100 // percent
	chartTop  = 16
	chartFoot = 16
)

func newChart(points []point) chart {
	c := chart{Points: points}
	for _, p := range points {
		c.Most = max(c.Most, p.Value)
	}
	if len(points) == 0 {
		return c
	}
	each := float64(whole) / float64(len(points))
	for i, p := range points {
		b := bar{X: float64(i)*each + each/8, Width: each * 3 / 4}
		if p.Value > 0 {
			b.Height = max(float64(whole-chartTop-chartFoot)*float64(p.Value)/float64(c.Most), 1)
		}
		b.Y = whole - chartFoot - b.Height
		if i%6 == 0 {
			b.Label = p.Label
		}
		c.Bars = append(c.Bars, b)
	}

	return c
}
