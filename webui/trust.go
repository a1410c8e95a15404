package webui

import "net/http"

func (s *Server) trustRoutes() []Route {
	return []Route{
		// The certificate itself is among what devices connect by; it was here once.
		{Pattern: "GET /trust/pillarbox.crt", Handle: func(v *visit) error { v.seeOther("/connect/ca.crt"); return nil }},
		{Pattern: "GET /trust/pillarbox.mobileconfig", Handle: func(v *visit) error {
			return v.rootProfile()
		}},
	}
}

// rootProfile hands out the certificate that devices are to trust, as Apple's
// install it: everybody may have it, and a device that lacks it can have it by
// plain HTTP alone.
func (v *visit) rootProfile() error {
	var text []byte
	by := Caller{Name: "nobody, web page", Began: v.conn.began}
	if err := v.s.call(v.ctx(), by, http.MethodGet, "/v1/certificate/root?form=profile", nil, &text); err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "application/x-apple-aspen-config")
	v.w.Header().Set("Content-Disposition", `attachment; filename="pillarbox.mobileconfig"`)
	_, err := v.w.Write(text)
	if err != nil {
		v.s.log.DebugContext(v.ctx(), "answer not sent", "err", err)
	}

	return nil
}
