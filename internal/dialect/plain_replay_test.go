package dialect

import (
	"errors"
	"io"
	"strconv"
	"strings"

	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
)

// plainFlag marks the files whose offers have no envelope: they are refused, and read
// nevertheless for a user who takes what nothing protects.
const plainFlag = "insecure-plaintext"

// offeredPlain is offered for those files.
func (r *replay) offeredPlain(senders string) {
	t := r.t
	in, err := Read(r.sess.Content(), senders)
	var no *fault.Refusal
	if !errors.As(err, &no) {
		t.Fatalf("taken: %+v, %v", in, err)
	}
	if refused, ok := r.want("refused"); ok || !errors.Is(err, ErrNotEncrypted) {
		if no.Reason.Condition != refused {
			t.Errorf("read as %+v, %v; want %q", in, err, refused)
		}
		return
	}
	d := in.OpenPlaintext(r.sess.Content())
	if d.Form() != FormPlaintext || in.Security != nil || d.Secret().Suite() != 0 {
		t.Fatalf("form %d, %+v", d.Form(), in.Security)
	}
	r.attrs(map[string]string{
		"size": strconv.FormatInt(d.File().Size, 10), "name": d.File().Name, "hash-used": strings.Join(d.File().HashUsed, " "),
	})
	r.transport(r.sess.Content().Transport)
	if err := r.sess.Accept(t.Context(), r.sess.Content()); err != nil {
		t.Fatal(err)
	}
	r.receive("then")
	r.infos()
	_, _ = io.WriteString(d.(*plain).sum, r.file.ChildText("", "wire"))
	p, patience, err := r.verify(d)
	if _, wrong := r.want("wrong"); wrong != (err != nil) || err != nil && fault.New(err, true).Code != exitcode.Integrity {
		t.Errorf("checksum: %v", err)
	}
	r.attrs(map[string]string{"verified": strings.Join(p.Hashes, " "), "patience": patience.String()})
	r.end()
}
