"""Encodings: certain where that can be, found in museums' words, doubted where others are near, and sayable."""

import pytest

from artray.catalogs.encodings import codec, decode_text
from artray.errors import InputError

GERMAN = "Nr;Künstler;Gattung\n" + "".join(
    f"{n};{artist};{kind}\n"
    for n, (artist, kind) in enumerate(
        [("Jörg Größl", "Gemälde"), ("André Müßig", "Möbel"), ("Zoë Öhlund", "Büste")] * 4
    )
)
FRENCH = (
    "No;Titre;Technique\n1;Tête d'homme;huile\n2;La forêt de Fontainebleau à l'été;dessin\n3;Élégie, façade;gravé\n"
)
POLISH = "Nr;Tytuł\n1;Święty Jerzy i książę\n2;Łódź na jeziorze\n3;Żołnierz, młody chłopiec\n4;Źródło w Gdańsku\n"
CZECH = "Č;Název\n1;Dívka u řeky\n2;Žižka na koni před zámkem\n3;Svatý Jiří a kůň\n4;Děti, květiny, světlo\n"
RUSSIAN = "Номер;Автор;Вид\n1;Иван Щукин;живопись\n2;Ёлкина Анна;графика\n3;Пётр Чижов;скульптура\n"
GREEK = "Α;Τίτλος\n1;Ζωγραφική, άγνωστος καλλιτέχνης\n2;Λάδι σε μουσαμά\n3;Παναγία και εκκλησία\n"
CHINESE = "编号,作者,类别\n1,张瑞图,绘画\n2,齐白石,书法\n3,佚名,雕塑\n"
TAIWANESE = "編號,作者,類別\n1,張瑞圖,繪畫\n2,齊白石,書法\n3,佚名,雕塑臺灣\n"
JAPANESE = "番号,作者,作品名\n1,葛飾北斎,神奈川沖浪裏\n2,歌川広重,東海道五十三次の内\n3,作者不詳,花鳥図と富士山\n"
THAI = "เลขที่,ชื่อเรื่อง,ศิลปิน\n1,ภาพหุ่นนิ่ง,ทิวทัศน์\n2,ภาพเหมือนผู้หญิง,ถวัลย์ ดัชนี\n3,เรื่องเล่า,เฟื้อ หริพิทักษ์\n"
KOREAN = "번호,작가,제목\n1,김홍도,풍속화와 여인\n2,정선,인왕제색도\n3,작자 미상,백자 항아리\n"


@pytest.mark.parametrize(
    ("text", "encoding", "name"),
    [
        (GERMAN, "cp1252", "Windows-1252"),
        (GERMAN, "mac_roman", "Mac Roman"),
        (GERMAN, "cp850", "DOS 850"),
        (FRENCH, "cp1252", "Windows-1252"),
        (FRENCH, "mac_roman", "Mac Roman"),
        (FRENCH, "cp850", "DOS 850"),
        (POLISH, "cp1250", "Windows-1250"),
        (POLISH, "iso8859-2", "ISO 8859-2"),
        (POLISH, "cp852", "DOS 852"),
        (CZECH, "cp1250", "Windows-1250"),
        (CZECH, "iso8859-2", "ISO 8859-2"),
        (RUSSIAN, "cp1251", "Windows-1251"),
        (RUSSIAN, "koi8-r", "KOI8-R"),
        (RUSSIAN, "cp866", "DOS 866"),
        (GREEK, "cp1253", "Windows-1253"),
        (CHINESE, "gbk", "GB18030"),
        (TAIWANESE, "big5", "Big5"),
        (JAPANESE, "shift_jis", "Shift JIS"),
        (JAPANESE, "euc_jp", "EUC-JP"),
        (KOREAN, "euc_kr", "EUC-KR"),
        (THAI, "cp874", "Windows-874"),
        (RUSSIAN, "utf-8-sig", "UTF-8 with BOM"),
        (RUSSIAN, "utf-16", "UTF-16"),
        (RUSSIAN, "utf-32", "UTF-32"),
        (CHINESE, "utf-16-le", "UTF-16-LE without BOM"),
        (GERMAN, "utf-16-be", "UTF-16-BE without BOM"),
    ],
)
def test_museums_words_in_their_encodings(text: str, encoding: str, name: str) -> None:
    found = decode_text(text.encode(encoding))
    assert found.text == text
    assert found.encoding == name or {found.encoding, name} <= {"Windows-1250", "ISO 8859-2"}


TURKISH = (
    "no;eser;sanatçı\n1;Kaplumbağa Terbiyecisi;Osman Hamdi Bey\n2;Üsküdar Çeşmesi;Hoca Ali Rıza\n"
    "3;Ağaçlar Arasında Karaca;Şeker Ahmet Paşa\n4;Çıplak;İbrahim Çallı\n5;Gölgede;Nazmi Ziya Güran\n"
)
ICELANDIC = (
    "nr;titill;listamaður\n1;Áning;Þórarinn B. Þorláksson\n2;Hraun við Þingvelli;Jóhannes S. Kjarval\n"
    "3;Fjallið Skjaldbreið;Ásgrímur Jónsson\n4;Útsýni yfir Eyjafjörð;Guðmundur Thorsteinsson\n"
)
WESTERN = "1,Köln bei Nacht,Müller\n2,Forêt,Théodore Rousseau\n3,Niño con paloma,Picasso\n4,Vikingar på hav,Nyström\n"


@pytest.mark.parametrize(
    ("text", "encoding", "sure"),
    [
        (TURKISH, "cp1254", True),
        (ICELANDIC, "cp1252", True),
        (WESTERN, "cp1252", True),
        (WESTERN + "5,Çıplak,İbrahim Çallı\n6,Ağaçlar,Şeker Ahmet\n", "cp1254", False),
        (WESTERN + "5,Jökull,Þórarinn B. Þorláksson\n6,Hús,Guðmundur Einarsson\n", "cp1252", True),
        (WESTERN + "5,House,Guðmundur Einarsson\n6,Sea,Sigurður\n", "cp1252", False),  # or Guğmundur
    ],
)
def test_turkish_and_icelandic_in_which_two_encodings_differ(text: str, encoding: str, sure: bool) -> None:
    found = decode_text(text.encode(encoding))
    assert (found.text, found.sure) == (text, sure)


def test_utf8_is_certain() -> None:
    found = decode_text("id,x\n1,Möbel\n".encode())
    assert (found.encoding, found.sure) == ("UTF-8", True)


def test_a_few_damaged_bytes_leave_utf8() -> None:
    found = decode_text(GERMAN.encode() + b"13;Caf\xe9;x\n")
    assert found.encoding == "UTF-8 with damaged bytes"
    assert found.text.count("\N{REPLACEMENT CHARACTER}") == 1


def test_many_words_are_sure_and_one_is_doubted() -> None:
    assert decode_text(GERMAN.encode("mac_roman")).sure
    one = decode_text("id,x\n1,Café\n".encode("cp1252"))
    assert (one.text, one.sure) == ("id,x\n1,Café\n", False)


def test_letters_that_come_late_are_seen() -> None:
    late = b"id,x\n" + b"1,abc\n" * 200_000 + GERMAN.encode("mac_roman")
    assert decode_text(late).encoding == "Mac Roman"


def test_marks_are_no_letters_even_two_of_them() -> None:
    assert decode_text(b"\xef\xbb\xbf\xef\xbb\xbfid").text == "id"


@pytest.mark.parametrize("name", ["mac_roman", "Mac Roman", "MacRoman", "macintosh"])
def test_said_encodings(name: str) -> None:
    assert codec(name) == "mac-roman"
    assert decode_text(b"M\x9abel", name).text == "Möbel"


@pytest.mark.parametrize("name", ["mac_romn", "base64", "x\0"])
def test_what_is_no_encoding_is_one_line(name: str) -> None:
    with pytest.raises(InputError, match=r"--encoding .*: there is no such encoding; ") as caught:
        decode_text(b"", name)
    assert "\n" not in str(caught.value)


def test_japanese_of_mails_is_no_utf8() -> None:
    decoded = decode_text(JAPANESE.encode("iso2022_jp"))
    assert (decoded.text, decoded.encoding, decoded.sure) == (JAPANESE, "ISO-2022-JP", True)


def test_a_few_names_of_east_asia_are_doubted() -> None:
    names = "番号,作者,種類\n" + "".join(f"a{n},{('葛飾北斎', '歌川広重')[n % 2]},浮世絵\n" for n in range(12))
    decoded = decode_text(names.encode("euc-jp"))
    assert decoded.text == names or not decoded.sure
