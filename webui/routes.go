package webui

import "slices"

// allRoutes are all pages. The menu has those with a name in this order.
func (s *Server) allRoutes() []Route {
	return slices.Concat(
		s.claimRoutes(),
		s.signInRoutes(),
		s.stagedRoutes(),
		s.trustRoutes(),
		s.firstRoutes(),
		s.overviewRoutes(),
		s.peopleRoutes(),
		s.personRoutes(),
		s.groupRoutes(),
		s.portsRoutes(),
		s.planRoutes(),
		s.movingRoutes(),
		s.movingOutRoutes(),
		s.archiveRoutes(),
		s.doctorRoutes(),
		s.networkRoutes(),
		s.firewallRoutes(),
		s.certificateRoutes(),
		s.policyRoutes(),
		s.banRoutes(),
		s.auditRoutes(),
		s.tokenRoutes(),
		s.choicesRoutes(),
		s.settingsRoutes(),
		s.supportRoutes(),
		s.powerRoutes(),
		s.logRoutes(),
		s.meRoutes(),
		s.factorRoutes(),
		s.passkeyRoutes(),
	)
}
