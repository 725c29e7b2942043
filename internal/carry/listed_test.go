package carry

import (
	"errors"
	"testing"

	"jetsend/internal/journal"
	"jetsend/internal/profile"
	"jetsend/internal/set"
)

// TestHold: the arguments that come are those that were offered, and offered before:
// nothing takes the name or the kind of what was said yes to.
func TestHold(t *testing.T) {
	id := make([]byte, set.FolderSize)
	listed := Listed{{Name: profile.AsListed("a\t\x01\xff&")}, {Name: "work", Directory: true}}
	for _, c := range []struct {
		number int
		said   set.Argument
		known  string
		ok     bool
	}{
		{0, set.Argument{Name: "a\t\x01\xff&"}, "", true},
		{0, set.Argument{Name: "b"}, "", false},
		{0, set.Argument{Name: ".bashrc"}, "", false},
		{0, set.Argument{Name: "a\t\x01\xff&", Folder: id}, "", false},
		{1, set.Argument{Name: "work", Folder: id}, "", true},
		{1, set.Argument{Name: "work"}, "", false},
		{2, set.Argument{Name: "c\xff"}, "c\xff", true},
		{2, set.Argument{Name: "d"}, "c\xff", false},
		{3, set.Argument{Name: "whatever is not listed"}, "", true},
	} {
		if err := listed.hold(c.number, c.said, c.known); (err == nil) != c.ok || err != nil && !errors.Is(err, set.ErrMessage) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestListedAs: another offer of a set lists what is known of it, under the same names and
// as the same kinds, and may list less or more.
func TestListedAs(t *testing.T) {
	listed := Listed{{Name: "a"}, {Name: "work", Directory: true, Bytes: 5, Entries: 2}}
	for name, c := range map[string]struct {
		known []journal.Argument
		ok    bool
	}{
		"nothing is known":     {nil, true},
		"the same":             {[]journal.Argument{{Name: "a"}, {Name: "work", Folder: true}}, true},
		"more than is listed":  {[]journal.Argument{{Name: "a"}, {Name: "work", Folder: true}, {Name: "x"}}, true},
		"another name":         {[]journal.Argument{{Name: "b"}}, false},
		"a file, no directory": {[]journal.Argument{{Name: "a"}, {Name: "work"}}, false},
	} {
		if listed.As(c.known) != c.ok {
			t.Error(name)
		}
	}
	all := listed.Beside([]journal.Argument{{Name: "A"}})
	if len(all) != 2 || all[0].Name != "A" || all[1].Number != 1 || !all[1].Folder || all[1].Size != 5 || all[1].Entries != 2 {
		t.Errorf("%+v", all)
	}
}
