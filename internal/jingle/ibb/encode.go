package ibb

import (
	"encoding/base64"
	"slices"
	"strconv"

	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
)

// stanzaOverhead is more than the characters of a data stanza beside its data
// and the three variable attributes take.
const stanzaOverhead = 128

// AppendData appends to dst the iq with that id that carries one block (XEP-0047
// section 2.2), and where there is room allocates for to alone. It is written by hand
// because the encoder of encoding/xml costs ten times as much.
func AppendData(dst []byte, id string, to jid.JID, sid string, seq uint16, data []byte) []byte {
	addr := to.String()
	dst = slices.Grow(dst, stanzaOverhead+len(id)+len(addr)+len(sid)+base64.StdEncoding.EncodedLen(len(data)))
	dst = append(dst, `<iq type='set' id='`...)
	dst = xmltree.AppendEscaped(dst, id)
	dst = append(dst, `' to='`...)
	dst = xmltree.AppendEscaped(dst, addr)
	dst = append(dst, `'><data xmlns='`+NS+`' seq='`...)
	dst = strconv.AppendUint(dst, uint64(seq), 10)
	dst = append(dst, `' sid='`...)
	dst = xmltree.AppendEscaped(dst, sid)
	dst = append(dst, `'>`...)
	dst = base64.StdEncoding.AppendEncode(dst, data)
	return append(dst, `</data></iq>`...)
}

// element returns an <open/> or <close/> of the stream.
func element(name, sid string) *xmltree.Element {
	return xmltree.New(NS, name).Set("sid", sid)
}

// openElement returns the <open/> of a stream (XEP-0047 section 2.1).
func openElement(sid string, blockSize int) *xmltree.Element {
	return element("open", sid).Set("block-size", strconv.Itoa(blockSize)).Set("stanza", stanzaIQ)
}
