package webui

import "net/http"

func (s *Server) trustRoutes() []Route {
	return []Route{
		{Pattern: "GET /trust/pillarbox.crt", Handle: func(v *visit) error {
			return v.root("/v1/certificate/root", "application/x-x509-ca-cert", "pillarbox.crt")
		}},
		{Pattern: "GET /trust/pillarbox.mobileconfig", Handle: func(v *visit) error {
			return v.root("/v1/certificate/root?form=profile", "application/x-apple-aspen-config", "pillarbox.mobileconfig")
		}},
	}
}

// root hands out the certificate that devices are to trust: everybody may have
// it, and a device that lacks it can have it by plain HTTP alone.
func (v *visit) root(path, kind, name string) error {
	var text []byte
	by := Caller{Name: "nobody, web page", Began: v.conn.began}
	if err := v.s.call(v.ctx(), by, http.MethodGet, path, nil, &text); err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", kind)
	v.w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	_, err := v.w.Write(text)
	if err != nil {
		v.s.log.DebugContext(v.ctx(), "answer not sent", "err", err)
	}

	return nil
}
