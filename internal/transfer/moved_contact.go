package transfer

import "jetsend/internal/dialect"

// The old names of what dialect has.
type (
	form   = dialect.Form
	client = dialect.Software
	// Encryption is a choice of form (`send --encryption`).
	Encryption = dialect.Choice
)

const (
	formNone              = dialect.FormNone
	formInsecurePlaintext = dialect.FormPlaintext
	formConversations     = dialect.FormConversations
	formDraft             = dialect.FormDraft
	formEncryptedFile     = dialect.FormEncryptedFile
	formJET               = dialect.FormJET
	formJetsend           = dialect.FormJetsend

	formNameJetsend = dialect.WordJetsend
	formNameNone    = dialect.WordNone
	encryptionJET   = dialect.WordJET
	encryptionDraft = dialect.WordDraft
	encryptionFile  = dialect.WordEncryptedFile

	otherClient    = dialect.OtherClient
	dino           = dialect.Dino
	libervia       = dialect.Libervia
	conversations  = dialect.Conversations
	conversations1 = dialect.Conversations1
	aTalk          = dialect.ATalk
	smack          = dialect.Smack
	jetsend        = dialect.Jetsend

	encryptionOther = dialect.ChooseOther
)

// The choices of form (`send --encryption`).
const (
	EncryptionAuto              = dialect.ChooseBest
	EncryptionJET               = dialect.ChooseJET
	EncryptionDraft             = dialect.ChooseDraft
	EncryptionFile              = dialect.ChooseEncryptedFile
	EncryptionInsecurePlaintext = dialect.ChoosePlaintext
	// NotEncrypted says, in the place of the word for what protects a file, that
	// nothing does.
	NotEncrypted = dialect.WordNone
)
