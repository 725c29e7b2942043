package transfer

import (
	"errors"
	"io"
	"strconv"
	"strings"

	"jetsend/internal/exitcode"
)

// plainFlag marks the files whose offers have no envelope: they are played twice,
// without --insecure-plaintext and with it.
const plainFlag = "insecure-plaintext"

// offeredPlain is offered for those files.
func (r *replay) offeredPlain(senders string) {
	t := r.t
	in := &incoming{sess: r.sess, talk: r.conversation()}
	for _, o := range []ReceiveOptions{{Accept: AcceptAll}, {Accept: AcceptVerified, InsecurePlaintext: true}} {
		in.terms = &terms{ReceiveOptions: o}
		var no *refusal
		if _, _, err := in.public(senders); !errors.As(err, &no) {
			t.Errorf("taken under %+v: %v", o, err)
		}
	}
	in.terms = &terms{ReceiveOptions: ReceiveOptions{Accept: AcceptContacts, InsecurePlaintext: true}}
	file, sec, err := in.public(senders)
	var no *refusal
	errors.As(err, &no)
	if refused, ok := r.want("refused"); ok || err != nil {
		if no == nil || no.Reason.Condition != refused {
			t.Errorf("read as %+v, %v; want %q", file, err, refused)
		}
		return
	}
	if in.form != formInsecurePlaintext || sec != nil {
		t.Fatalf("form %d, %+v", in.form, sec)
	}
	in.openPlaintext()
	r.attrs(map[string]string{
		"size": strconv.FormatInt(file.Size, 10), "name": file.Name, "hash-used": strings.Join(file.HashUsed, " "),
		"patience": in.talk.insecure.patience.String(),
	})
	r.transport(r.sess.Content().Transport)
	if err := r.sess.Accept(t.Context(), r.sess.Content()); err != nil {
		t.Fatal(err)
	}
	r.receive("then")
	r.infos()
	in.talk.words.list = r.words()
	in.talk.insecure.patience = 0 // nothing is waited for here
	_, _ = io.WriteString(in.talk.wire, r.file.ChildText("", "wire"))
	err = in.talk.awaitWireSum(t.Context())
	if _, wrong := r.want("wrong"); wrong != (err != nil) || err != nil && failureOf(err, true).Code != exitcode.Integrity {
		t.Errorf("checksum: %v", err)
	}
	r.attrs(map[string]string{"verified": strings.Join(in.talk.insecure.verified(), " ")})
	r.end()
}
