package figures

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFigures: a job takes the place of the same one before, and what is read is what was
// written, with a picture beside it.
func TestFigures(t *testing.T) {
	path := filepath.Join(t.TempDir(), "figures.json")
	f, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	f.Missing = []string{"croc"}
	f.Set(Job{Key: "file", Name: "one file", Ways: []Way{{"jetsend", 0.5}, {"scp", 20}}})
	f.Set(Job{Key: "many", Name: "many files", Ways: []Way{{"jetsend", 1.23456}}})
	f.Set(Job{Key: "file", Name: "one file", Ways: []Way{{"jetsend", 0.7}, {"scp", 20}}})
	if err := f.Save(path); err != nil {
		t.Fatal(err)
	}
	again, err := Read(path)
	if err != nil || len(again.Jobs) != 2 || again.Jobs[0].Ways[0].Seconds != 0.7 || again.Jobs[1].Ways[0].Seconds != 1.235 {
		t.Fatalf("%+v, %v", again, err)
	}
	if first, last := again.decades(); first != -1 || last != 2 {
		t.Errorf("from 10^%v to 10^%v", first, last)
	}
	drawn, err := os.ReadFile(strings.TrimSuffix(path, "json") + "svg")
	if err != nil || !strings.Contains(string(drawn), "left out: croc") || !strings.Contains(string(drawn), "0.70 s") {
		t.Errorf("%s, %v", drawn, err)
	}
}

// TestPicture: the picture in docs/ is that of the figures there.
func TestPicture(t *testing.T) {
	f, err := Read("../../../docs/performance.json")
	if err != nil || len(f.Jobs) == 0 {
		t.Fatal(f, err)
	}
	drawn, err := os.ReadFile("../../../docs/performance.svg")
	if err != nil || string(drawn) != string(f.draw().Bytes()) {
		t.Error("docs/performance.svg is not drawn from docs/performance.json", err)
	}
}
