// Package figures keeps what was measured, as JSON, and draws it: how long each way takes for
// each job, on a scale on which ten times as long is one step.
package figures

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"

	"jetsend/internal/xmpptest/svg"
)

// Figures are those of a machine.
type Figures struct {
	Machine string   `json:"machine"`
	Missing []string `json:"missing,omitempty"` // what was not installed
	Jobs    []Job    `json:"jobs"`
}

// Job is what is to be carried, and how long that takes.
type Job struct {
	Key  string `json:"key"` // the same in every run
	Name string `json:"name"`
	How  string `json:"how"` // it was measured
	Ways []Way  `json:"ways"`
}

// Way is who did it.
type Way struct {
	Who     string  `json:"who"`
	Seconds float64 `json:"seconds"`
}

// Read reads figures; those of a file that is not there are none.
func Read(path string) (*Figures, error) {
	f := &Figures{}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err == nil {
		err = json.Unmarshal(text, f)
	}
	if err != nil {
		return nil, fmt.Errorf("read figures: %w", err)
	}
	return f, nil
}

// Set puts a job in the place of the one with its key.
func (f *Figures) Set(j Job) {
	for i, w := range j.Ways {
		j.Ways[i].Seconds = math.Round(w.Seconds*1000) / 1000
	}
	at := slices.IndexFunc(f.Jobs, func(old Job) bool { return old.Key == j.Key })
	if at < 0 {
		f.Jobs = append(f.Jobs, j)
	} else {
		f.Jobs[at] = j
	}
}

// Save writes the figures, and their picture into the SVG file of the same name; to "" it
// writes nothing.
func (f *Figures) Save(path string) error {
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	return f.draw().Save(strings.TrimSuffix(path, ".json") + ".svg")
}

// Measures of the picture.
const (
	width  = 760.0
	left   = 230.0 // where the scale begins
	right  = 70.0
	row    = 22.0
	above  = 40.0 // a job: its name
	margin = 16.0
)

func (f *Figures) draw() *svg.Picture {
	high := margin
	for _, j := range f.Jobs {
		high += above + row*float64(len(j.Ways))
	}
	notes := []string{"seconds, on a logarithmic scale: less is better", f.Machine}
	if len(f.Missing) > 0 {
		notes = append(notes, "not installed, and so left out: "+strings.Join(f.Missing, ", "))
	}
	p := svg.New(width, high+52+18*float64(len(notes)), "seconds that each way takes for each job, on a logarithmic scale", "")
	first, last := f.decades()
	x := func(seconds float64) float64 {
		return left + (math.Log10(seconds)-first)/(last-first)*(width-left-right)
	}
	y := margin
	for _, j := range f.Jobs {
		y = j.draw(p, y, x, first, last)
	}
	for d := first; d <= last; d++ {
		p.Text("small faint middle", x(math.Pow(10, d)), high+20, fmt.Sprintf("%.4g s", math.Pow(10, d)))
	}
	for i, note := range notes {
		p.Text("small faint", margin, high+46+18*float64(i), note)
	}
	return p
}

// draw draws a job from y on, and returns where it ends.
func (j Job) draw(p *svg.Picture, y float64, x func(float64) float64, first, last float64) float64 {
	p.Text("head", margin, y+above-18, j.Name)
	p.Text("small faint end", width-margin, y+above-18, j.How)
	y += above
	end := y + row*float64(len(j.Ways))
	for d := first; d <= last; d++ {
		for _, at := range []float64{1, 2, 5} {
			if at == 1 || d < last {
				p.Path("grid", svg.At("M", x(at*math.Pow(10, d)), y-8)+svg.At("V", end-4))
			}
		}
	}
	for _, w := range j.Ways {
		class := "other"
		if strings.HasPrefix(w.Who, "jetsend") {
			class = "good"
		}
		at := x(w.Seconds)
		p.Text("end", left-12, y+9, w.Who)
		p.Box(class, left, y+3, max(at-left, 1), 4, 2)
		p.Dot(class, at, y+5, 6)
		p.Text("small", at+11, y+9, short(w.Seconds))
		y += row
	}
	return end
}

// short is as much of a time as the picture can tell.
func short(seconds float64) string {
	if seconds < 10 {
		return fmt.Sprintf("%.2f s", seconds)
	}
	return fmt.Sprintf("%.0f s", seconds)
}

// decades are the powers of ten between which all figures are.
func (f *Figures) decades() (first, last float64) {
	least, most := math.Inf(1), math.Inf(-1)
	for _, j := range f.Jobs {
		for _, w := range j.Ways {
			least, most = min(least, w.Seconds), max(most, w.Seconds)
		}
	}
	if least > most || least <= 0 {
		return -1, 1
	}
	first, last = math.Floor(math.Log10(least)), math.Ceil(math.Log10(most))
	return first, max(last, first+1)
}
