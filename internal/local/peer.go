package local

import (
	"errors"
	"fmt"
)

// ErrStranger means that the other end of the connection is another user of this machine.
var ErrStranger = errors.New("the other end is another user")

// ours judges the user at the other end. Root reaches everything of ours anyway.
func ours(uid, self int) error {
	if uid != self && uid != 0 {
		return fmt.Errorf("%w: %d", ErrStranger, uid)
	}
	return nil
}
