package transfer

// Plain files: an offer of XEP-0234 without any envelope, as clients make and take
// it that have no encryption. Both ends do it only when their user says
// --insecure-plaintext. Nothing leads here from an encrypted form:
//
//   - an offer is without an envelope when its form is dialect.FormPlaintext, which
//     dialect.ChoosePlaintext alone asks for;
//   - one is taken when ReceiveOptions.InsecurePlaintext is set;
//   - bytes go out or come in as they are in the dialect of that form alone, which
//     an envelope never leads to. Its transport secret is of no suite, so whatever
//     would encrypt or seal with it is refused;
//   - its row in the journal belongs to journal.NoKey, so no other offer goes on
//     with it, and it with no other.

const (
	sendsPlaintext    = "the files go UNENCRYPTED: the servers, proxies and everybody on the way between can read and change them"
	receivesPlaintext = "files that are offered UNENCRYPTED are taken, too: the servers, proxies and everybody on the way between can read, change and forge them"
)
