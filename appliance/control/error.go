package control

import (
	"errors"
	"net/http"

	"pillarbox/appliance/delivery"
	"pillarbox/appliance/directory"
	"pillarbox/storage"
)

// Error is an answer that says what is wrong. Message is fit for a person.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`

	status int
}

// The codes, which are stable.
const (
	CodeRequest      = "request"
	CodeAddress      = "address"
	CodeAddressTaken = "address-taken"
	CodeName         = "name"
	CodeNoAccount    = "no-account"
	CodeNoAlias      = "no-alias"
	CodeNoDomain     = "no-domain"
	CodeAlias        = "alias"
	CodePassword     = "password"
	CodeDevice       = "device" // its name cannot be used
	CodeDeviceTaken  = "device-taken"
	CodeNoDevice     = "no-device"
	CodeTooMany      = "too-many"
	CodeBusy         = "busy"
	CodeNoRecipient  = string(delivery.UnknownRecipient)
	CodeNotAdmitted  = string(delivery.NotAdmitted)
	CodeDiskFull     = string(delivery.DiskFull)
	CodeUnrecorded   = "unrecorded" // it was done, but the audit record does not have it
	CodeInternal     = "internal"
)

// Wrong returns an answer that says what is wrong with what was asked for.
func Wrong(code, message string) *Error {
	return &Error{Code: code, Message: message, status: http.StatusBadRequest}
}

// NotFound returns an answer that says that there is no such thing.
func NotFound(code, message string) *Error {
	return &Error{Code: code, Message: message, status: http.StatusNotFound}
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// asError finds the code for what went wrong.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	for _, known := range []struct {
		err    error
		code   string
		status int
	}{
		{directory.ErrAddress, CodeAddress, http.StatusBadRequest},
		{directory.ErrAddressTaken, CodeAddressTaken, http.StatusConflict},
		{directory.ErrName, CodeName, http.StatusBadRequest},
		{directory.ErrNoAccount, CodeNoAccount, http.StatusNotFound},
		{directory.ErrNoAlias, CodeNoAlias, http.StatusNotFound},
		{directory.ErrAliasLoop, CodeAlias, http.StatusConflict},
		{directory.ErrAliasTarget, CodeAlias, http.StatusConflict},
		{directory.ErrAlias, CodeAlias, http.StatusBadRequest},
		{directory.ErrPassword, CodePassword, http.StatusBadRequest},
		{directory.ErrDeviceName, CodeDevice, http.StatusBadRequest},
		{directory.ErrDeviceTaken, CodeDeviceTaken, http.StatusConflict},
		{directory.ErrNoDevice, CodeNoDevice, http.StatusNotFound},
		{directory.ErrTooMany, CodeTooMany, http.StatusConflict},
		{directory.ErrBusy, CodeBusy, http.StatusServiceUnavailable},
		{delivery.ErrNotAdmitted, CodeNotAdmitted, http.StatusForbidden},
		{delivery.ErrUnknownRecipient, CodeNoRecipient, http.StatusNotFound},
		{storage.ErrDiskFull, CodeDiskFull, http.StatusInsufficientStorage},
	} {
		if errors.Is(err, known.err) {
			return &Error{Code: known.code, Message: err.Error(), status: known.status}
		}
	}

	return &Error{Code: CodeInternal, Message: err.Error(), status: http.StatusInternalServerError}
}
