// Package ntlm is the server side of NTLM authentication ([MS-NLMP]), which
// Outlook Express calls "Secure Password Authentication": the three messages,
// and the check of a response against a clear password.
//
//	client                                  Exchange
//	NEGOTIATE_MESSAGE   ------------------> Challenge
//	                    <------------------ CHALLENGE_MESSAGE
//	AUTHENTICATE_MESSAGE -----------------> Authenticate --> Login
//	                                                          .User, .Check(password)
//
// Answers of all ages are understood: LM alone (Windows 95 and 98), NTLM (NT 4),
// NTLM with extended session security (2000, XP), LMv2 and NTLMv2 (Vista and on).
// NTLM is used to log in and for nothing else: there is no signing and sealing,
// and no session key is made.
//
// The package knows bytes only; how they travel is for POP3 ([MS-POP3]) and SMTP
// ([MS-SMTPNTLM]). The hashes that NTLM shares with MS-CHAP are package mschap's.
package ntlm
