"""What answers say, in several wordings each: written by hand, apart from the word lists of the detectors.

A subject is a list of points; a point is one statement in three wordings with places for facts. An answer takes one wording of each point;
a rewording of it takes others, in another order where order says nothing. `TUNED` was looked at while the detectors were made, `HELD_OUT`
was not.
"""

from __future__ import annotations

from dataclasses import dataclass

Point = tuple[str, ...]


@dataclass(frozen=True)
class Subject:
    """One kind of answer: the user's question, its points, and what facts are drawn from (lists, or `int:low:high`, `money`, `date`)."""

    name: str
    language: str
    ask: str
    points: tuple[Point, ...]
    facts: dict[str, tuple[str, ...]]


def _subject(name: str, language: str, ask: str, facts: dict[str, str], text: str) -> Subject:
    """Points are parted by blank lines, their wordings by line ends."""
    points = tuple(tuple(line.strip() for line in block.strip().splitlines()) for block in text.strip().split("\n\n"))
    return Subject(name, language, ask, points, {key: tuple(value.split("|")) for key, value in facts.items()})


TUNED: tuple[Subject, ...] = (
    _subject(
        "order", "en", "Where is my order and can I still change the address?",
        {"carrier": "Nordline|DHL|Parcelway|Swift Cargo", "city": "Leeds|Porto|Gdansk|Lyon", "day": "date", "n": "int:2:9", "fee": "money"},
        """
        Your parcel left our warehouse in {city} this morning.
        This morning the package was handed over at our {city} depot.
        We sent your order out from {city} earlier this morning.

        It should reach you by {day}.
        Expect it at your door no later than {day}.
        Delivery is planned for {day}.

        {carrier} is carrying it, and the tracking page refreshes every {n} hours.
        The shipment travels with {carrier}; tracking updates come every {n} hours.
        We use {carrier} for this delivery, so look at the tracking page, which is renewed every {n} hours.

        Changing the address now costs {fee}, because the label has been printed.
        As the label is printed already, there is a charge of {fee} for a new address.
        A new address means a new label, and that comes to {fee}.

        You can't cancel an order once it is on the road.
        After dispatch, cancellation is not possible.
        Orders that are already moving cannot be cancelled.
        """,
    ),
    _subject(
        "meeting", "en", "Summarise the meeting for people who missed it.",
        {"who": "Priya Nair|Tomasz Zielinski|Helen Brandt|Oluwaseun Ade", "other": "Marek Olsen|Grace Whitfield|Ines Duarte", "day": "date",
         "pct": "int:11:48", "team": "Atlas|Borealis|Kestrel"},
        """
        The launch of {team} moves to {day}.
        {team} will now go live on {day}.
        We agreed to shift the start of {team} to {day}.

        During the call, {who} reported that sign-ups grew by {pct}%.
        According to {who}, registrations are up {pct}%.
        A rise of {pct}% in sign-ups was presented by {who}.

        The budget question stays open until finance replies.
        Nobody has settled the budget; finance still has to answer.
        We are waiting for finance before we decide on the budget.

        Next week {other} prepares the training material.
        The training slides are a task for {other}, due next week.
        For next week, {other} takes over the training documents.

        Everyone else keeps their current tasks.
        All other assignments remain as they are.
        Nothing changes for the rest of the group.
        """,
    ),
    _subject(
        "refund", "en", "Can I return the headphones I bought?",
        {"n": "int:14:60", "fee": "money", "shop": "Harbour Audio|Kindlewood|Peak & Pine", "hours": "int:24:72"},
        """
        You have {n} days from delivery to send them back.
        Returns are accepted within {n} days after delivery.
        The return window is {n} days, counted from the day they arrived.

        {shop} pays the money back to your original card.
        The refund goes to the card you paid with, straight from {shop}.
        Your original payment method is credited by {shop}.

        If the box is open, we keep {fee} for repackaging.
        An opened box leads to a deduction of {fee}, which covers repackaging.
        For opened boxes {fee} is subtracted to pay for new packaging.

        Once we have them, the refund takes about {hours} hours.
        After arrival here, please allow {hours} hours for the refund.
        The money is on its way {hours} hours after we receive the item.

        Ear pads that were worn are excluded from returns.
        We do not take back worn ear pads.
        Used ear pads can't be returned.
        """,
    ),
    _subject(
        "recipe", "en", "How do I make the lentil soup for a family?",
        {"g": "int:180:450", "min": "int:18:45", "n": "int:3:8", "ml": "int:700:1500"},
        """
        Rinse {g} g of red lentils until the water runs clear.
        Start with {g} g of red lentils and wash them well.
        First, wash {g} g of red lentils under the tap.

        Soften onions and carrots in oil over a low flame.
        Fry carrots and onions gently in some oil.
        In a little oil, let the carrots and onions become soft.

        Pour in {ml} ml of stock and simmer for {min} minutes.
        Add {ml} ml of stock, then cook everything for {min} minutes at low heat.
        After adding {ml} ml of stock, the pot needs {min} minutes of gentle cooking.

        Season with cumin, salt and lemon juice before serving.
        Lemon juice, cumin and salt go in at the end.
        Finish with salt, lemon juice and cumin.

        This feeds {n} people and keeps well in the fridge.
        The amount serves {n} people, and leftovers last in the refrigerator.
        You get enough for {n} people; the rest stays fresh in the fridge.
        """,
    ),
    _subject(
        "account", "en", "I can't log in to my account. What do I do?",
        {"min": "int:10:45", "n": "int:3:7", "mail": "help@brightbank.example|service@lumina.example",
         "app": "Lumina|BrightBank|Fieldbook"},
        """
        The account is locked after {n} wrong passwords.
        After {n} failed attempts, access is blocked.
        We lock an account when the password was wrong {n} times.

        Wait {min} minutes, then request a new code in the {app} app.
        Open the {app} app after {min} minutes and ask for another code.
        In {min} minutes you may ask for a fresh code with the {app} app.

        Never share the code, and our staff don't ask for it.
        Keep the code to yourself; no employee of ours will request it.
        The code is private, so do not give it to anyone, not even to us.

        If it still fails, write to {mail}.
        Should the problem stay, send a message to {mail}.
        Contact {mail} when that does not solve it.

        Your saved data remain untouched in the meantime.
        In the meantime nothing happens to what you saved.
        All stored information stays safe while you wait.
        """,
    ),
    _subject(
        "report", "en", "Explain the quarter to the board in a paragraph.",
        {"rev": "int:12:88", "pct": "int:3:19", "region": "Iberia|Scandinavia|Benelux", "who": "Dana Whitlock|Rafael Moreno|Kenji Ito",
         "n": "int:120:900"},
        """
        Revenue came to {rev} million euros, {pct}% above the year before.
        The company earned {rev} million euros in sales, a plus of {pct}% on last year.
        Sales reached {rev} million euros, which is {pct}% more than in the previous year.

        Most of the growth came from {region}.
        {region} contributed the largest part of the increase.
        The main source of growth was {region}.

        Costs rose because {n} positions were filled.
        Filling {n} positions pushed expenses up.
        Expenses went up, as {n} people were hired.

        CFO {who} expects margins to hold.
        Margins will stay stable in the view of CFO {who}.
        Stable margins are what CFO {who} foresees.

        The dividend is unchanged.
        There is no change in the dividend.
        Shareholders get the same dividend as before.
        """,
    ),
    _subject(
        "bestellung", "de", "Wann kommt meine Bestellung?",
        {"n": "int:2:9", "fee": "int:4:19", "tag": "date"},
        """
        Ihre Bestellung ist heute aus unserem Lager abgegangen.
        Wir haben Ihre Bestellung heute im Lager verpackt und verschickt.

        Sie kommt in {n} Tagen bei Ihnen an.
        Die Lieferung dauert {n} Tage und wird an der Tür übergeben.

        Eine neue Adresse kostet {fee} Euro.
        Für eine neue Adresse berechnen wir {fee} Euro.

        Danach ist eine Änderung nicht mehr möglich.
        Später kann das nicht mehr geändert werden.
        """,
    ),
    _subject(
        "commande", "fr", "Quand arrive ma commande ?",
        {"n": "int:2:9", "fee": "int:4:19"},
        """
        Votre commande est partie de notre entrepôt ce matin.
        Ce matin, nous avons expédié votre commande depuis notre entrepôt.

        Elle sera chez vous dans {n} jours avec un numéro de suivi.
        La livraison est prévue dans {n} jours, et vous avez un numéro de suivi.

        Une nouvelle adresse coûte {fee} euros.
        Pour une autre adresse, il faut compter {fee} euros.

        Ensuite, un changement n'est plus possible.
        Après cela, vous ne pouvez plus rien changer.
        """,
    ),
)  # fmt: skip

HELD_OUT: tuple[Subject, ...] = (
    _subject(
        "clinic", "en", "What should I know before my appointment?",
        {"dr": "Dr. Amara Osei|Dr. Lucia Ferrante|Dr. Noah Lindqvist", "hour": "int:6:12", "day": "date", "fee": "money",
         "ward": "Willow|Juniper|Magnolia"},
        """
        Please don't eat anything for {hour} hours before the scan.
        The scan requires an empty stomach: {hour} hours without food.
        Stay away from food for {hour} hours ahead of the scan.

        Your examination with {dr} takes place on {day}.
        You are booked with {dr} on {day}.
        {day} is the date of your examination with {dr}.

        Come to the {ward} wing and bring your insurance card.
        Bring along the insurance card when you arrive at the {ward} wing.
        We will meet you in the {ward} wing; have your insurance card ready.

        A missed visit is billed at {fee}.
        If you fail to show up, we charge {fee}.
        No-shows pay {fee}.

        Driving afterwards is not allowed.
        You mustn't drive after the examination.
        Leave the car at home, since you can't drive afterwards.
        """,
    ),
    _subject(
        "flat", "en", "Describe the flat on Mill Lane for the listing.",
        {"m": "int:41:118", "rent": "int:640:2100", "floor": "int:2:6", "street": "Mill Lane|Orchard Road|Canal Street", "min": "int:4:15"},
        """
        The flat measures {m} square metres and lies on floor {floor}.
        On floor {floor} you'll find {m} square metres of living space.
        With {m} square metres, this home on floor {floor} has room for two.

        Rent is {rent} euros a month, heating included.
        The monthly price of {rent} euros covers heating.
        Heating is part of the rent, which stands at {rent} euros.

        From {street} the station is a walk of {min} minutes.
        It takes {min} minutes on foot to get from {street} to the station.
        {min} minutes on foot separate {street} from the station.

        Pets are welcome, smokers less so.
        You may keep a pet, while smoking is unwelcome.
        Animals are fine; smoking isn't.

        The kitchen was renewed two years ago.
        Two years ago the owner modernised the kitchen.
        The kitchen is only two years old.
        """,
    ),
    _subject(
        "hike", "en", "Is the ridge trail suitable for beginners?",
        {"km": "int:7:22", "up": "int:380:1250", "hut": "Falkenhut|Refuge Blanc|Cabin Ros", "month": "May|June|September", "h": "int:3:8"},
        """
        The trail is {km} km long with {up} m of ascent.
        Over {km} km you climb {up} m.
        Plan for {km} km and {up} m uphill.

        Most walkers need {h} hours, breaks left out.
        Without breaks, count on {h} hours of walking.
        {h} hours is what an ordinary walker takes, pauses not counted.

        You can refill bottles at {hut} halfway.
        Halfway up there is fresh water at {hut}.
        Water is available midway, at {hut}.

        Two short passages are exposed, so a head for heights helps.
        A few exposed steps call for some confidence with heights.
        Because of two exposed spots it suits people who are fine with heights.

        Dogs have to stay on a leash.
        Keep dogs leashed.
        Dogs are required to be on the lead.
        """,
    ),
    _subject(
        "migration", "en", "What happens to our data when we switch plans?",
        {"gb": "int:20:900", "n": "int:2:14", "tool": "Gridlock|Shoalbase|Tern", "who": "Yusuf Demir|Carla Bianchi|Otto Lehmann",
         "ver": "int:3:9"},
        """
        All {gb} GB are copied to the new cluster overnight.
        Overnight, the {gb} GB move over to the new cluster.
        The new cluster receives your {gb} GB during the night.

        Old backups stay readable for {n} weeks.
        For {n} weeks the earlier backups can still be opened.
        You'll be able to read previous backups for another {n} weeks.

        We run {tool} version {ver} on both sides.
        Both sides use version {ver} of {tool}.
        {tool} version {ver} is installed at either end.

        Your contact is {who}, who watches the switch live.
        During the switch, {who} is on call for you.
        If anything looks odd, reach out to {who}, who follows the switch.

        Users don't notice an interruption.
        There is no downtime for users.
        For users the service continues without a break.
        """,
    ),
    _subject(
        "cita", "es", "¿Qué debo saber antes de la cita?",
        {"n": "int:2:9", "fee": "int:10:60"},
        """
        No coma nada durante las {n} horas antes de la prueba.
        La prueba se hace en ayunas: {n} horas sin comer nada.

        Traiga su tarjeta del seguro y un documento.
        Es necesario traer un documento y la tarjeta del seguro.

        Si no viene, la cita cuesta {fee} euros.
        Por una cita perdida se cobran {fee} euros.

        Después de la prueba puede comer con normalidad.
        Tras la prueba ya se puede comer como siempre.
        """,
    ),
)  # fmt: skip

OTHER_LANGUAGES: dict[str, str] = {
    "de": "Ihr Anliegen wurde aufgenommen. Wir prüfen die Angaben und melden uns in den nächsten Tagen bei Ihnen, damit alles klar ist.",
    "fr": "Votre demande a bien été prise en compte. Nous vérifions les informations et nous revenons vers vous dans les prochains jours.",
    "es": "Su solicitud ha sido recibida. Vamos a revisar los datos y le daremos una respuesta en los próximos días por correo.",
    "it": "La sua richiesta è stata ricevuta. Controlliamo i dati e le daremo una risposta nei prossimi giorni con tutti i dettagli.",
    "pt": "O seu pedido foi recebido. Vamos verificar os dados e enviaremos uma resposta nos próximos dias com todos os detalhes.",
    "nl": "Uw verzoek is ontvangen. Wij controleren de gegevens en sturen u in de komende dagen een antwoord met alle details.",
    "pl": "Państwa zgłoszenie zostało przyjęte. Sprawdzimy dane i w ciągu kilku dni prześlemy odpowiedź ze wszystkimi szczegółami.",
    "ru": "Ваш запрос принят. Мы проверим данные и в ближайшие дни пришлём ответ со всеми подробностями.",
    "ja": "お問い合わせを受け付けました。内容を確認し、数日以内にご連絡いたします。",
    "zh": "您的请求我们已经收到。我们会核对资料,并在几天之内给您答复。",
    "sv": "Vi har tagit emot ditt ärende. Vi kontrollerar uppgifterna och kommer att svara dig under de närmaste dagarna.",
    "tr": "Talebiniz alındı. Bilgileri kontrol edip birkaç gün içinde size bir yanıt göndereceğiz, bu arada başka bir şey yapmanız "
    "gerekmez.",
}

CODE: tuple[str, ...] = (
    "def total(items):\n    result = 0\n    for item in items:\n        result += item.price * item.count\n    return result",
    "function slug(text) {\n  return text.toLowerCase().replace(/\\s+/g, '-');\n}",
    "SELECT city, COUNT(*) AS n\nFROM orders\nWHERE placed_at >= '2026-01-01'\nGROUP BY city\nORDER BY n DESC;",
    "class Stack:\n    def __init__(self):\n        self._items = []\n\n    def push(self, item):\n        self._items.append(item)",
    '#!/bin/sh\nfor f in *.log; do\n  gzip -9 "$f"\ndone',
    "const sum = (a, b) => a + b;\nmodule.exports = { sum };",
)
