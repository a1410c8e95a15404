package message_test
import ("testing";"os";"fmt";"path/filepath";"strings";"sort";"bytes";"pillarbox/storage/message")
func TestZZ(t *testing.T){
 files,_:=filepath.Glob("/tmp/dv/mail/cur/*"); sort.Strings(files)
 out,_:=os.ReadFile("/tmp/dv/out.txt")
 recs:=strings.Split(string(out),"\f\n")
 bs:=map[int]string{}; env:=map[int]string{}
 for _,r:=range recs{ uid:=0; for _,l:=range strings.SplitAfter(r,"\n"){ _=l }
  fmt.Sscanf(r,"uid: %d",&uid)
  i:=strings.Index(r,"imap.bodystructure: "); j:=strings.Index(r,"imap.envelope: ")
  if i<0||j<0{continue}
  bs[uid]="("+strings.TrimSpace(r[i+20:j])+")"; env[uid]="("+strings.TrimSpace(r[j+15:])+")" }
 norm:=func(s string)string{return strings.ToLower(strings.ReplaceAll(s,"\\\"","'"))}
 diff:=0
 for i,f:=range files{ b,_:=os.ReadFile(f)
  // dovecot counts CRLF
  b=bytes.ReplaceAll(bytes.ReplaceAll(b,[]byte("\r\n"),[]byte("\n")),[]byte("\n"),[]byte("\r\n"))
  m,_:=message.Parse(bytes.NewReader(b),message.Limits{})
  if norm(string(m.Structure))!=norm(bs[i+1]){diff++;fmt.Printf("%d BS\n  we %.1200q\n  dv %.1200q\n",i+1,m.Structure,bs[i+1])}
  if norm(string(m.Envelope))!=norm(env[i+1]){fmt.Printf("%d ENV\n  we %.900q\n  dv %.900q\n",i+1,m.Envelope,env[i+1])}
 }
 fmt.Println("files",len(files),"diff",diff)
}
