package storage

import (
	"strings"
	"sync"

	"github.com/emersion/go-imap/v2"
)

// SpecialUseOf returns the special use (RFC 6154) that a mailbox name stands
// for in one of the languages and habits of mail programs, or "". It is how
// "Gesendete Elemente" and "Deleted Items" lead to Sent and Trash instead of
// becoming a second folder of the kind.
func SpecialUseOf(name string) imap.MailboxAttr {
	return specialNames()[strings.ToLower(strings.TrimPrefix(name, Inbox+string(Delimiter)))]
}

// specialNames has the names by which Outlook, Apple Mail, Thunderbird,
// Exchange, Gmail and Dovecot call these folders, in lower case.
var specialNames = sync.OnceValue(func() map[string]imap.MailboxAttr {
	names := map[string]imap.MailboxAttr{}
	for use, list := range map[imap.MailboxAttr]string{
		imap.MailboxAttrDrafts: `drafts|draft|entwürfe|brouillons|borradores|bozze|rascunhos|concepten|kladder|kladde|utkast|luonnokset|szkice|` +
			`wersje robocze|kopie robocze|koncepty|rozepsané|piszkozatok|ciorne|schițe|taslaklar|черновики|чернетки|πρόχειρα|下書き|草稿|草稿箱|임시 보관함|טיוטות|مسودات`,
		imap.MailboxAttrSent: `sent|sent items|sent messages|sent mail|sent-mail|gesendet|gesendete|gesendete elemente|gesendete objekte|gesendete nachrichten|` +
			`envoyés|éléments envoyés|messages envoyés|enviados|elementos enviados|mensajes enviados|inviata|posta inviata|elementi inviati|itens enviados|` +
			`mensagens enviadas|verzonden|verzonden items|verzonden berichten|sendt|sendt post|sendte elementer|skickat|skickade objekt|lähetetyt|` +
			`wysłane|elementy wysłane|odeslané|odeslaná pošta|odoslané|elküldött|elküldött elemek|trimise|elemente trimise|gönderilmiş öğeler|gönderilenler|` +
			`отправленные|надіслані|απεσταλμένα|送信済み|送信済みアイテム|已发送|已发送邮件|寄件備份|보낸 편지함|פריטים שנשלחו|المرسلة`,
		imap.MailboxAttrJunk: `junk|spam|junk e-mail|junk email|junk mail|bulk mail|spamverdacht|junk-e-mail|unerwünscht|courrier indésirable|indésirables|pourriel|` +
			`correo no deseado|no deseado|posta indesiderata|indesiderata|lixo eletrônico|lixo eletrónico|ongewenste e-mail|ongewenst|uønsket e-mail|uønsket|søppelpost|` +
			`skräppost|roskaposti|roskapostit|wiadomości-śmieci|niechciane|nevyžádaná pošta|nevyžádané|nevyžiadaná pošta|levélszemét|mesaje nedorite|önemsiz e-posta|` +
			`нежелательная почта|спам|небажана пошта|ανεπιθύμητα|迷惑メール|垃圾邮件|垃圾郵件|정크 메일|スパム`,
		imap.MailboxAttrTrash: `trash|deleted|deleted items|deleted messages|bin|papierkorb|gelöscht|gelöschte|gelöschte elemente|gelöschte objekte|corbeille|éléments supprimés|` +
			`messages supprimés|papelera|elementos eliminados|eliminados|cestino|posta eliminata|elementi eliminati|lixeira|lixo|itens excluídos|itens eliminados|` +
			`prullenbak|prullenmand|verwijderd|verwijderde items|papirkurv|slettet post|slettede elementer|papperskorg|papperskorgen|borttaget|borttagna objekt|` +
			`roskakori|poistetut|kosz|elementy usunięte|usunięte|koš|odstraněná pošta|odstranené|kôš|törölt elemek|lomtár|kuka|elemente șterse|gunoi|çöp kutusu|silinmiş öğeler|` +
			`удаленные|удалённые|корзина|видалені|кошик|κάδος απορριμμάτων|διαγραμμένα|ゴミ箱|削除済みアイテム|已删除|已删除邮件|垃圾桶|刪除的郵件|지운 편지함|휴지통`,
		imap.MailboxAttrArchive: `archive|archives|archived|archiv|archivo|archivio|arquivo|arquivo morto|archief|arkiv|arkisto|archiwum|archív|archívum|arhivă|arşiv|архив|архів|` +
			`αρχειοθήκη|アーカイブ|存档|封存|보관함`,
	} {
		for name := range strings.SplitSeq(list, "|") {
			names[name] = use
		}
	}
	return names
})
