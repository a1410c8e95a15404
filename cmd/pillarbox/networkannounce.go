package main

import "pillarbox/netcfg/mdns"

// announced are the services that people look for on their network. The network
// announces those of them that listen.
func announced() []mdns.Service {
	return []mdns.Service{
		{Instance: "Pillarbox", Type: "_imaps._tcp", Port: 993},
		{Instance: "Pillarbox", Type: "_submissions._tcp", Port: 465},
		{Instance: "Pillarbox", Type: "_http._tcp", Port: 80},
	}
}
