package carry

import (
	"context"

	"jetsend/internal/journal"
	"jetsend/internal/profile"
	"jetsend/internal/set"
)

// Listed are the first arguments of a set, as it was offered.
type Listed []profile.Listed

// Beside are the known arguments, and those that are listed behind them. What is known by
// an index says more.
func (l Listed) Beside(known []journal.Argument) []journal.Argument {
	return append(known, l.behind(known)...)
}

// behind are the arguments that are listed behind the known ones.
func (l Listed) behind(known []journal.Argument) (more []journal.Argument) {
	for i := len(known); i < len(l); i++ {
		more = append(more, journal.Argument{Number: i, Name: l[i].Name, Folder: l[i].Directory, Size: l[i].Bytes, Entries: l[i].Entries})
	}
	return more
}

// As reports whether what is known of a set is listed: what was said yes to is not
// exchanged for something else between two sessions.
func (l Listed) As(known []journal.Argument) bool {
	for i, a := range known {
		if i < len(l) && (profile.AsListed(a.Name) != l[i].Name || a.Folder != l[i].Directory) {
			return false
		}
	}
	return true
}

// Inscribe writes down what is listed, which another offer has to list as well to go on
// with the set.
func (l Listed) Inscribe(ctx context.Context, row *journal.Handle) error {
	known, err := row.Arguments(ctx)
	if err != nil {
		return err
	}
	return row.SetArguments(ctx, l.behind(known))
}

// hold refuses an argument that has another name, or is of another kind, than was offered;
// known is the name of it that is known beside, "" for none.
func (l Listed) hold(number int, a set.Argument, known string) error {
	offered := known
	if number < len(l) {
		if l[number].Directory != (len(a.Folder) > 0) {
			return set.Refuse("argument %d is not the file, or the directory, that was offered", number)
		}
		offered = l[number].Name
	}
	if offered != "" && profile.AsListed(offered) != profile.AsListed(a.Name) {
		return set.Refuse("argument %d is %.80q, which was offered as %.80q", number, a.Name, offered)
	}
	return nil
}
