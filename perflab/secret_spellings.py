"""How secrets are spelled in arguments, code, markup, addresses and logs: patterns, each with what is kept of a match."""

from __future__ import annotations

import re

_NAME = (
    r"(?:(?<!mon)key(?!s\b|board|word|error)|token(?!s\b)|secret|(?<!com)(?<!by)pass(?!ed\b|eng|ing\b)|pwd|pswd|credential|auth(?!or(?!ization))|cookie|sess(?:ion|id)|dsn|jwt|bearer|private|salt|signature|sentry|"
    r"[cx]srf|hmac|webhook|access[-_ ]?code|conn(?:ection)?[-_]?str|"
    r"(?<![a-z0-9])(?:sk|pin|pw|sig|sid|otp|totp|mfa|tok|creds?|sas|pem|x-api)(?![a-z0-9]))"
)
"""Parts of names that indicate a secret."""
SECRET = re.compile(_NAME, re.IGNORECASE)
_NAMED = rf"(?<![\w.\-])(?![\w.\-]*(?:error|exception|warning)\b)[\w.\-]{{0,100}}{_NAME}[\w.\-]{{0,100}}"
"""A whole name of a secret, of bounded length, so that long words cost little; it starts where a word does."""
_QUOTED = r"\\\".*?\\\"|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`"
_LIKELY = r"(?=[\w+=~.\-]*\d)(?=[\w+=~.\-]*[a-z])[\w+/=~.\-]{8,}"
"""A word of letters and digits, where nothing else says that it is a value."""
_MARK = r"\\?[\"']?"
_IS = rf"{_MARK}\s*[:=]\s*{_MARK}"
_ENTITY = r"&(?:quot|apos|#x?\d\d);"
_ENCODED = r"%(?:25)*(?:2[027]|5C)"
"""A blank, a quote or a backslash in an address, encoded once or several times."""
_STARTS = (
    "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "npm_", "hf_", "dop_v1_", "shpat_", "shpca_", "shppa_",
    "shpss_", "glpat-", "pypi-", "AIza", "ya29.", "whsec_", "sq0atp-", "sq0csp-", "ATATT3", "ATCTT3", "lin_api_",
    "sntrys_", "sntryu_", "dckr_pat_", "dckr_oat_", "nfp_", "pat-na1-", "pat-eu1-", "xapp-", "PMAK-", "dp.pt.",
    "dp.st.", "hvs.", "hvb.", "glsa_", "rubygems_", "NRAK-", "tskey-", "gsk_", "pplx-", "figd_", "sbp_",
    "EAACEdEose0cBA",
)  # fmt: skip
"""How tokens of known services start."""
LATER = re.compile(
    rf"(?:{_NAME}[\w.\-]{{0,100}}{_MARK}\s*[:=]\s*(?P<block>[|>][+\-]?\d?)?|\b(?:key|name){_IS}[\w.\-]{{0,100}}{_NAME}[\w.\-]{{0,100}}{_MARK},?)\s*$",
    re.IGNORECASE,
)
"""The end of a line whose secret is on the next one, or on all that are indented more."""
QUERY = re.compile(rf"([?&;#][\w.\-\[\]%]+=)(?:{_QUOTED}|[^&;#\s'\"]*)", re.IGNORECASE)
HIDDEN: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kept)
    for pattern, kept in (
        (r"(-----BEGIN [A-Z\d ]+-----)(?:(?!-----END)[\s\S])*", r"\1…"),
        (rf"({_NAMED}\\?[\"']?:\s*[|>][+\-]?\d?[ \t]*\r?\n([ \t]+))[^\n]*(?:\n\2[^\n]*|\n[ \t]*(?=\n))*", r"\1…"),
        # One name and one value, as Kubernetes, ECS and HAR write them, in any order.
        (
            rf"((?<!\w)(?:key|name){_IS}[\w.\- ]{{0,100}}{_NAME}[\w.\- ]{{0,100}}{_MARK}[\s,;]+{_MARK}value{_MARK}\s*[:=]\s*)"
            rf"(?:{_QUOTED}|[^\s,}}\]>]+)",
            r"\1…",
        ),
        (
            rf"((?<!\w)value{_MARK}\s*[:=]\s*)(?:{_QUOTED}|[^\s,}}\]>\"']{{1,200}})"
            rf"(?=[\s,;]+{_MARK}(?:key|name|type){_IS}[\w.\- ]{{0,100}}{_NAME})",
            r"\1…",
        ),
        (rf"({_NAMED}(?:{_ENTITY})*\s*[:=,]\s*({_ENTITY}))(?:(?!\2)[^\n])+", r"\1…"),
        (rf"({_NAMED}\\{{2,9}}[\"']\s*[:=,]\s*(\\{{2,9}}[\"']))(?:(?!\2)[^\n])+", r"\1…"),
        (
            r"(%(?:25)*3A(?:%(?:25)*2F){2}(?:(?!%(?:25)*(?:3A|2F))[^\s&]){0,100}%(?:25)*3A)(?:(?!%(?:25)*40)[^\s&]){1,200}(?=%(?:25)*40)",
            r"\1…",
        ),
        (r"(\bidentified\s+(?:with\s+\S+\s+)?(?:by|as)\s+(?:password\s+)?)(?:'[^']*'|\"[^\"]*\")", r"\1…"),
        (r"(\bset\s+password\s+[^=\n]{0,100}=\s*(?:password\()?)(?:'[^']*'|\"[^\"]*\")", r"\1…"),
        # Passwords in addresses: a password may hold a slash or an @, and a port is none.
        (r"(//)[^\s/@:\['\"<>]*:(?!\d{1,5}[/?#])[^\s@'\"<>]*@(?:[^\s/@'\"]*@)*", r"\1"),
        (r"(//)(?:[^\s/@'\"]*@)+", r"\1"),
        (r"(?<![\w.+\-])()[\w.+\-]+:[^\s@/:'\"]+@(?=[\w\[])", "…@"),
        (r"(\bthin:|\bsqlplus\s+)[^\s@]+@", r"\1…@"),
        (r"(?<![\w.:\-])((?:[\w.\-]+|\*):(?:\d{2,5}|\*):[\w.\-*]+:[\w.\-]+:)[^\s:'\"]{4,}", r"\1…"),  # as in .pgpass
        (r"(?<![\w./\-])(\w+/)[^\s@/'\"]+(?=@[\w.\-]+:\d{2,5}/\w)", r"\1…"),
        (r"(\bdigest\s)\s*\w+=[^\r\n]+", r"\1…"),
        (r"((?:cookie|authorization)\s*[:=]\s*)[^'\"\r\n]+", r"\1…"),
        (r"\b(bearer(?:\s+token)?)\s+[^\s'\",]+", r"\1 …"),
        (r"\b((?:basic|digest|token)\s+)(?=[^\s'\",]*[\d+/=])[^\s'\",]{6,}", r"\1…"),
        (
            rf"((?:key|name|type)=[\"'][^\"'<>]{{0,100}}{_NAME}[^\"'<>]{{0,100}}[\"']\s+value=)(?:{_QUOTED}|[^\s>]+)",
            r"\1…",
        ),
        (rf"(<[\w.:\-]{{0,100}}{_NAME}[\w.:\-]{{0,100}}(?:\s[^<>]*)?>)[^<]+", r"\1…"),
        (
            rf"({_NAMED}\\?[\"']?\s*(?:=>|:=|[=:])\s*)(?!…)(?:[bfru]{{0,2}}(?:{_QUOTED})|\[[^\]]*\]?|[^\s'\"&;,]+)",
            r"\1…",
        ),
        (rf"({_NAMED}[\"']\s*,\s*b?)(?:{_QUOTED})", r"\1…"),
        (
            rf"({_NAMED}(?:(?:{_ENCODED})*%(?:25)*3[AD]|(?:{_ENCODED})+[:=])(?:{_ENCODED})*(?:bearer(?:%20)+)?)(?!…)[^\s&%]+",
            r"\1…",
        ),
        (
            rf"({_NAMED}\W{{1,3}}(?:(?:is|was|used|given|provided|supplied)\W{{1,3}})?)(?:'(?=[^']*\d)[^']{{6,}}'|{_LIKELY})",
            r"\1…",
        ),
        (r"(\blogin\s+\S+\s+(?:account\s+\S+\s+)?password\s+)\S+", r"\1…"),
        (rf"(--?[\w\-]{{0,100}}{_NAME}[\w\-]{{0,100}}\s+)(?!--)\S+", r"\1…"),
        (r"((?:^|\s)(?:--?user|--login|-[upa])\s+)(?![\d\-/.])\S+", r"\1…"),
        (r"(\b(?:mysql|mariadb|curl|sshpass)\S*\s(?:[^\n]*[\s'\"])?-[pu])[^\s=\-'\"]\S+", r"\1…"),
        (
            r"()\beyJ[\w-]{8,}(?:\.[\w-]*)*|\b[spr]k[-_](?:live|test|proj|ant|or)[-_][\w-]+|\bsk-\w{20,}|\bxox[abeprs]-[\w-]+",
            "…",
        ),
        (rf"()\b(?:{'|'.join(map(re.escape, _STARTS))})[\w\-]{{9,}}", "…"),
        (r"()\bSG\.[\w-]{8,}\.[\w-]+|\bA[KS]IA[0-9A-Z]{12,}", "…"),
        (r"(\bhooks\.slack\.com/\w+/|\bdiscord(?:app)?\.com/api/webhooks/|\bapi\.telegram\.org/bot)[\w/:\-]+", r"\1…"),
    )
)

MAYBE = re.compile(
    rb"//[^/\s]*@|:[^\s]+@|/[^\s/@]+@|%(?:25)*40|[-=]BEGIN|eyJ|A[KS]IA|SG\.|identified|\b(?:sk|pk|rk|xox\w)[-_]|"
    rb"\b(?:" + "|".join(map(re.escape, _STARTS)).encode() + rb")|"
    rb"hooks\.|webhooks|/bot\d|thin:|sqlplus|digest|basic|login|--?user|\s-[upa]\b|-[pu]\w|" + _NAME.encode(),
    re.IGNORECASE,
)
HINTS = (
    *(b"key token secret pass pwd pswd cred auth cookie sess dsn jwt bearer private salt signature sentry csrf xsrf "
      b"hmac hook code conn sk pin pw sig sid otp mfa tok sas pem x-api @ %40 %2540 identified digest basic login user -u -p -a "
      b"begin eyj akia asia sg. xox pk_ pk- rk_ rk- bot thin sqlplus").split(),
    *(start.lower().encode() for start in _STARTS),
)  # fmt: skip
"""One of these is in every line that `MAYBE` finds; to look for them is quick."""
