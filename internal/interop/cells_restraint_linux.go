package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"jetsend/internal/xmltree"
)

// quiet is how long a client is watched that must see nothing: round trips
// here take milliseconds.
const quiet = 2 * time.Second

// restraintCells are about what jetsend does not do.
func restraintCells() []cell {
	return []cell{
		{name: "priming-unseen", run: primingUnseen, about: "other clients of either side, carbons on, see nothing of the priming"},
		{name: "chat-not-taken", run: chatNotTaken, about: "a chat message goes to a person's client, never to jetsend"},
		{name: "chat-not-taken-alone", run: chatNotTakenAlone, about: "a chat message while only jetsend is online is not delivered to it"},
	}
}

// primingUnseen watches a second client of Dino's user and another client of
// jetsend's own account while jetsend makes Dino able to send to it.
func primingUnseen(ctx context.Context, w *world) (string, error) {
	p, err := w.newPair(ctx)
	if err != nil {
		return "", err
	}
	defer p.dino.close()
	theirs, err := newPerson(ctx, w.server, p.dino.user, "phone", 5)
	if err != nil {
		return "", err
	}
	defer theirs.leave()
	ours, err := newPerson(ctx, w.server, p.jet.user, "phone", 5)
	if err != nil {
		return "", err
	}
	defer ours.leave()
	if err := p.dino.start(ctx); err != nil {
		return "", err
	}
	rx, err := p.jet.receive(ctx)
	if err != nil {
		return "", err
	}
	defer rx.close()
	if err := p.waitPrimed(ctx); err != nil {
		return "", fmt.Errorf("%w; %s", err, rx.complaint())
	}
	pause(ctx, quiet)
	for who, client := range map[string]*person{"the contact's second client": theirs, "another client of our own account": ours} {
		if seen := client.all(isVisible); len(seen) > 0 {
			return "", fmt.Errorf("%s sees %s", who, seen[0])
		}
	}
	n, err := p.dino.shown(ctx)
	if err == nil && n != 0 {
		err = fmt.Errorf("Dino shows %d lines", n)
	}
	if err != nil {
		return "", err
	}
	return "", w.nothingStored(ctx, p.dino.user)
}

// nothingStored logs another client of a user in and reports what the server
// kept for it.
func (w *world) nothingStored(ctx context.Context, user string) error {
	late, err := newPerson(ctx, w.server, user, "late", 9)
	if err != nil {
		return err
	}
	defer late.leave()
	pause(ctx, quiet)
	if seen := late.all(isVisible); len(seen) > 0 {
		return fmt.Errorf("a client that comes later sees %s", seen[0])
	}
	return nil
}

// chatNotTaken sends a chat to the bare JID of somebody with a chat client and
// a jetsend online.
func chatNotTaken(ctx context.Context, w *world) (string, error) {
	friend, me, rx, err := w.chatting(ctx)
	if err != nil {
		return "", err
	}
	defer rx.close()
	defer friend.leave()
	phone, err := newPerson(ctx, w.server, me, "phone", 0)
	if err != nil {
		return "", err
	}
	defer phone.leave()
	if err := friend.chat(w.jid(me), "come hither"); err != nil {
		return "", err
	}
	got, err := phone.wait(ctx, "the chat message", isChat("come hither"))
	if err != nil {
		return "", err
	}
	// A carbon would mean that another client has got the message itself.
	if got.Child(nsCarbons, "received") != nil {
		return "", errors.New("the person's client got only a carbon copy")
	}
	return "", nil
}

// chatNotTakenAlone sends a chat to the bare JID of somebody whose only client
// is jetsend: it comes back, or is kept for the person's client.
func chatNotTakenAlone(ctx context.Context, w *world) (string, error) {
	friend, me, rx, err := w.chatting(ctx)
	if err != nil {
		return "", err
	}
	defer rx.close()
	defer friend.leave()
	if err := friend.chat(w.jid(me), "come hither"); err != nil {
		return "", err
	}
	pause(ctx, quiet)
	phone, err := newPerson(ctx, w.server, me, "phone", 0)
	if err != nil {
		return "", err
	}
	defer phone.leave()
	note := ""
	err = poll(ctx, clientWait, "wait for the chat message to come back or to be kept", func(context.Context) (bool, error) {
		switch {
		case len(friend.all(isError)) > 0:
			note = "returned to its sender"
		case len(phone.all(isChat("come hither"))) > 0:
			note = "kept for the person's client"
		}
		return note != "", nil
	})
	return note, err
}

// isError accepts messages that the server returned.
func isError(e *xmltree.Element) bool {
	return e.Name.Local == "message" && e.Attr("type") == "error"
}

// chatting makes two friends, one with a chat client, one with a jetsend, and
// checks the priority that the jetsend announces.
func (w *world) chatting(ctx context.Context) (friend *person, me string, rx *command, err error) {
	other, me, err := w.newFriends(ctx, "romeo", "juliet")
	if err != nil {
		return nil, "", nil, err
	}
	if friend, err = newPerson(ctx, w.server, other, "phone", 0); err != nil {
		return nil, "", nil, err
	}
	if rx, err = w.newAccount(me).receive(ctx); err != nil {
		friend.leave()
		return nil, "", nil, err
	}
	e, err := friend.wait(ctx, "jetsend's presence", func(e *xmltree.Element) bool {
		return e.Name.Local == "presence" && e.Attr("type") == "" && e.ChildText(nsClient, "priority") != "" &&
			e.Attr("from") != friend.full
	})
	if err == nil && e.ChildText(nsClient, "priority") != "-1" {
		err = fmt.Errorf("jetsend announces the priority %s", e.ChildText(nsClient, "priority"))
	}
	if err != nil {
		rx.close()
		friend.leave()
		return nil, "", nil, err
	}
	return friend, me, rx, nil
}
