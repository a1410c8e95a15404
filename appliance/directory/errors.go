package directory

import "errors"

// Errors that callers tell apart. They come wrapped with what was being done.
// The texts are fit to be shown to an administrator.
var (
	ErrAddress          = errors.New("the address is not valid")
	ErrAddressTaken     = errors.New("the address is in use already")
	ErrName             = errors.New("the name cannot be used")
	ErrNoAccount        = errors.New("no such account")
	ErrNoAlias          = errors.New("no such alias")
	ErrAliasLoop        = errors.New("the alias would lead back to itself")
	ErrAliasTarget      = errors.New("the alias leads to an address that does not exist here")
	ErrAlias            = errors.New("the alias cannot be so")
	ErrNotAdmitted      = errors.New("only people of the office may write to this address")
	ErrUnknownRecipient = errors.New("no such recipient")
	ErrPassword         = errors.New("the password cannot be used")
	ErrTooMany          = errors.New("the directory holds as many as it can")
	ErrDeviceName       = errors.New("the device's name cannot be used")
	ErrDeviceTaken      = errors.New("the account has a device of this name already")
	ErrNoDevice         = errors.New("the account has no such device")
	ErrHash             = errors.New("the hash cannot be used")
	ErrSuspended        = errors.New("the account is suspended")
	ErrNoAdmin          = errors.New("the administrator has no password yet")

	// ErrCredentials is the same for a wrong name and a wrong password.
	// Which of them it was stands in the error's text, for the log only.
	ErrCredentials = errors.New("the name or the password is wrong")
	// ErrAmbiguous comes with ErrCredentials where the name was a local part
	// that several accounts share; it too is for the log only.
	ErrAmbiguous = errors.New("several accounts share this short name; the full address is wanted")
	// ErrBusy says that a log-in was not tried; the client may try again.
	ErrBusy = errors.New("too many log-ins at once")
)
