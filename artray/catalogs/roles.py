"""What museums call the columns with number, picture, title, maker, date and labels, in the languages they write in."""

import re
import unicodedata
from collections.abc import Sequence

from artray.catalogs.unicode import without_accents

# As `folded` compares them (its Greek has no other sigma at the end of a word), the likeliest first.
IDS = (
    "objectid", "id", "objectnumber", "inventorynumber", "inventoryno", "inventory", "accessionnumber", "accessionno",
    "accessionnum", "acno", "identifier", "recordid", "recordnumber", "workid", "artworkid", "uuid", "uid",
)  # fmt: skip
FILES = (
    "file", "filename", "files", "filenames", "image", "imagefile", "imagename", "images", "path", "filepath",
    "imagepath", "picture", "pictures", "img",
)  # fmt: skip
ADDRESSES = ("imageurl", "primaryimage", "thumbnailurl", "iiifurl", "iiifthumburl", "imageuri", "image", "img", "url")
TITLES = (
    "title", "worktitle", "titles", "primarytitle", "dctitle", "itemlabel", "objecttitle", "displaytitle",
    "preferredtitle", "titlename", "titletext", "titel", "werktitel", "objekttitel", "bildtitel", "haupttitel",
    "bezeichnung", "titre", "titreoeuvre", "titredeloeuvre", "intitule", "titolo", "titoloopera", "titolodellopera",
    "titulo", "titulodelaobra", "titulodaobra", "objecttitel", "verktitel", "tittel", "nimi", "teos", "nazwa",
    "tytul", "nazev", "cim", "titlu", "baslik", "название", "наименование", "заглавие", "назва", "τιτλοσ", "标题",
    "名称", "題名", "名稱", "作品名", "제목", "작품명", "כותרת", "name", "objectname", "caption",
)  # fmt: skip
ARTISTS = (
    "artist", "artistname", "artistdisplayname", "artisttitle", "artistdisplay", "primarymaker", "dccreator",
    "creatorlabel", "artists", "allartists", "artistfullname", "attribution", "creator", "creators", "maker",
    "makers", "makername", "principalmaker", "principalorfirstmaker", "painter", "author", "creatorname",
    "artistmaker", "artistormaker", "displayartist", "constituent", "produceractor", "kunstler", "kuenstler",
    "kuenstlerin", "kunstlerin", "kunstlername", "kunstlerinnen", "kunstlerindisplay", "urheber", "urheberin",
    "maler", "hersteller", "schopfer", "beteiligteperson", "autor", "verfasser", "zuschreibung", "artiste", "auteur",
    "auteurs", "auteurdeloeuvre", "createur", "peintre", "fabricant", "artistes", "artista", "artisti", "autore",
    "autori", "pittore", "creatore", "autores", "creador", "pintor", "artistas", "kunstenaar", "kunstenaars",
    "vervaardiger", "maker1", "schilder", "konstnar", "upphovsman", "konstnarer", "tillverkare", "malare", "kunstner",
    "kunstnere", "ophavsmand", "opphavsperson", "taiteilija", "tekija", "artysta", "tworca", "malarz", "umelec",
    "muvesz", "alkoto", "sanatci", "художник", "автор", "митець", "καλλιτεχνησ", "δημιουργοσ", "作者", "艺术家",
    "藝術家", "作家", "작가", "אמן",
)  # fmt: skip
DATES = (
    "date", "objectdate", "displaydate", "primarydate", "dcdate", "inception", "millesimedecreation", "datetext",
    "dated", "dating", "datecreated", "creationdate", "productiondate", "dateofproduction", "datemade", "datedisplay",
    "dateofwork", "workdate", "year", "yearcreated", "yearmade", "period", "datierung", "entstehungszeit",
    "entstehungsdatum", "entstehungsjahr", "datum", "jahr", "herstellungsdatum", "zeit", "datedecreation", "datation",
    "datecreation", "annee", "anneedecreation", "millesime", "epoque", "datederealisation", "data", "datazione",
    "anno", "cronologia", "datadicreazione", "annodicreazione", "fecha", "datacion", "ano", "fechadecreacion",
    "datacao", "datering", "vervaardigingsdatum", "jaar", "productiejaar", "periode", "tillverkningsar", "ar",
    "artal", "tillkomsttid", "dato", "arstall", "vuosi", "ajoitus", "datowanie", "rok", "datace", "datalas", "tarih",
    "дата", "датировка", "год", "χρονολογια", "年代", "日期", "制作年", "制作年代", "연대",
)  # fmt: skip

# By the tasks that they are guessed for.
LABELS = {
    "style": (
        "style", "styles", "movement", "movements", "artmovement", "period", "school", "stil", "kunststil",
        "stilrichtung", "stile", "estilo", "estilos", "stijl", "mouvement", "mouvementartistique", "tyyli", "styl",
        "стиль",
    ),
    "emotion": ("emotion", "emotions"),
    "valence": ("valence",),
    "medium": ("handorcode",),
    "genre": ("genre", "genres", "bildgattung", "genere", "genero", "жанр"),
    "classification": (
        "classification", "objecttype", "worktype", "objectname", "objektart", "objekttyp", "gattung", "sachgruppe",
        "typeobjet", "typedobjet", "tipodeobjeto", "tipoobjeto",
    ),
}  # fmt: skip

NAMES = frozenset(
    (*IDS, *FILES, *ADDRESSES, *TITLES, *ARTISTS, *DATES, *(name for names in LABELS.values() for name in names))
)
"""All of them, as `folded` has them."""

_LETTERS = str.maketrans({"ł": "l", "ø": "o", "œ": "oe", "æ": "ae", "ß": "ss", "đ": "d", "ı": "i"})


def folded(name: str) -> str:
    """A column's name as it is compared: letters and digits only, lower case, without accents.

    Example:
        >>> folded("Künstler/in (Name)")
        'kunstlerinname'
    """
    text = without_accents(name.casefold()).translate(_LETTERS)
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFC", text))


def first_of(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    """The column whose name stands first among the wanted ones; `Titel (deutsch)` and `Titel / Serie` are `Titel`."""
    for short in (folded, lambda name: folded(re.split(r"[(\[/,:]", name)[0])):
        fitting = [name for name in names if short(name) in wanted]
        if fitting:
            return min(fitting, key=lambda name: wanted.index(short(name)))
    return None
