// Package profile writes configuration profiles of Apple's (.mobileconfig),
// which an iPhone, iPad or Mac offers to install: property lists in XML. It
// knows their form alone, not what the box puts into them; and it signs
// nothing.
//
// Identifiers are the caller's. A profile that is installed takes the place of
// one with the same ID; so they follow from what the profile is about, and are
// not drawn by lot.
package profile
