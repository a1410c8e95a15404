package setup

import (
	"net/http"
	"net/url"
	"strings"
)

// Autodiscover in JSON asks where a protocol is spoken for an address. Here it
// is AutodiscoverV1, that in XML, alone: what else is asked for (ActiveSync, EWS,
// REST, …) belongs to Exchange.
//
//	/autodiscover/autodiscover.json?Email=ADDRESS&Protocol=AutodiscoverV1
//	/autodiscover/autodiscover.json/v1.0/ADDRESS?Protocol=AutodiscoverV1
const protocolXML = "AutodiscoverV1"

// jsonQuestion is what is asked.
type jsonQuestion struct{ address, protocol string }

// found and refused are the two kinds of answer.
type (
	jsonFound struct {
		Protocol string
		URL      string `json:"Url"`
	}
	jsonRefused struct{ ErrorCode, ErrorMessage string }
)

// parseJSONQuestion reads the path, in which rest follows the name of the file,
// and the query. Names of parameters come in several cases of letters.
func parseJSONQuestion(rest string, query url.Values) (q jsonQuestion, ok bool) {
	for name, values := range query {
		switch {
		case len(values) != 1:
		case strings.EqualFold(name, "Email"):
			q.address = values[0]
		case strings.EqualFold(name, "Protocol"):
			q.protocol = values[0]
		}
	}
	if rest != "" {
		version, address, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
		if !strings.EqualFold(version, "v1.0") || address == "" {
			return q, false
		}
		q.address = address
	}

	return q, true
}

// answerJSON returns the status and the answer; base is where the XML is.
func (f *Facts) answerJSON(q jsonQuestion, base string) (status int, answer any) {
	switch _, served := f.domain(q.address); {
	case q.protocol == "":
		return http.StatusBadRequest, jsonRefused{"MandatoryParameterMissing", "A valid value must be provided for the query parameter 'Protocol'"}
	case !strings.EqualFold(q.protocol, protocolXML):
		return http.StatusBadRequest, jsonRefused{"InvalidProtocol", "The given protocol value is invalid. Supported values are '" + protocolXML + "'"}
	case q.address == "":
		return http.StatusBadRequest, jsonRefused{"MandatoryParameterMissing", "A valid smtp address must be provided"}
	case !served:
		return http.StatusNotFound, jsonRefused{"UserNotFound", "The given user is not found"}
	}

	return http.StatusOK, jsonFound{protocolXML, base + pathPOX}
}
