// Corpus "marina": the application. Berths, boats, invoices and regattas on Prisma, a pool of four connections, six requests at a time.
//   node marina_prisma.js labels
//   node marina_prisma.js fill  PORT
//   node marina_prisma.js serve PORT COUNT SEED transaction|autocommit TRUTH
"use strict";
const fs = require("fs");
const DataLoader = require("dataloader");

const [, , verb, port, ...options] = process.argv;
const SIZES = [5, 8, 12, 20, 30, 50];
const STATES = ["open", "planned", "paid", "late", "done", "void"];
const KINDS = ["insurance", "safety", "radio", "gas", "noise"];
const NAMES = ["tariff", "currency", "locale", "sender", "logo", "vat", "season", "quiet", "power", "deposit", "grace", "footer"];
const CURRENCIES = ["EUR", "USD", "GBP", "SEK", "DKK", "NOK"];
const DAY = 24 * 3600e3;
const T0 = Date.UTC(2026, 4, 4);
const LEAST = 5;
const JOINS = options[2] === "transaction"; // the preview feature relationJoins is on for one of the two recordings

const day = (n) => new Date(T0 + n * DAY);
const joined = JOINS ? { relationLoadStrategy: "join" } : {};
const separate = JOINS ? { relationLoadStrategy: "query" } : {};

function client() {
  const { PrismaClient } = require(JOINS ? "marina-joins" : "marina-plain");
  const { PrismaPg } = require("@prisma/adapter-pg");
  const { queryTags } = require("@prisma/sqlcommenter-query-tags");
  const adapter = new PrismaPg({ host: "127.0.0.1", port: Number(port), user: "postgres", database: "shop", max: 4 });
  return new PrismaClient({ adapter, comments: [queryTags()] });
}

function random(seed) {
  let a = (seed * 2654435761) >>> 0;
  const next = () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return { next, some: (last) => 1 + Math.floor(next() * last), pick: (list) => list[Math.floor(next() * list.length)] };
}

// Prisma writes its tables by a program that the package downloads; these are the same, from the same schema.
function* tables(schema) {
  const types = { Int: "integer", String: "text", DateTime: "timestamp(3)" };
  for (const [, model, body] of schema.matchAll(/^model (\w+) \{\n(.*?)^\}/gms)) {
    const columns = [];
    const indexes = [];
    for (const [, name, type, maybe, rest] of body.matchAll(/^  (\w+) +(Int|String|DateTime)(\?)?(.*)$/gm)) {
      const key = rest.includes("@id") ? " PRIMARY KEY" : rest.includes("@unique") ? " UNIQUE" : "";
      const preset = rest.match(/@default\((\d+)\)/);
      const column = rest.includes("autoincrement") ? "serial" : types[type];
      columns.push(`"${name}" ${column}${maybe ? "" : " NOT NULL"}${key}${preset ? ` DEFAULT ${preset[1]}` : ""}`);
      if (/(Id|Code|Badge|Sku)$/.test(name)) indexes.push(`CREATE INDEX ON "${model}" ("${name}")`);
    }
    for (const [, kind, list] of body.matchAll(/@@(id|unique)\(\[(.*?)\]\)/g))
      columns.push(`${kind === "id" ? "PRIMARY KEY" : "UNIQUE"} (${list.split(", ").map((c) => `"${c}"`).join(", ")})`);
    yield `CREATE TABLE "${model}" (${columns.join(", ")})`;
    yield* indexes;
  }
  yield 'CREATE TABLE "_BoatToTag" ("A" integer NOT NULL, "B" integer NOT NULL, PRIMARY KEY ("A", "B"))';
  yield 'CREATE INDEX ON "_BoatToTag" ("B")';
}

async function fill() {
  for (const statement of tables(fs.readFileSync(__filename.replace(/js$/, "prisma"), "utf8"))) await prisma.$executeRawUnsafe(statement);
  const r = random(77);
  const put = async (model, many, row) => {
    const rows = Array.from({ length: many }, (_, i) => row(i));
    for (let i = 0; i < many; i += 300) await model.createMany({ data: rows.slice(i, i + 300), skipDuplicates: true });
  };
  const at = (days) => new Date(T0 + r.some(days * 1440) * 60e3);
  const often = () => (r.next() < 0.5 ? r.some(40) : r.some(900)); // some owners have many invoices
  await put(prisma.harbour, 12, (i) => ({ name: `Harbour ${i}`, country: r.pick(["DK", "SE", "NO", "FI"]) }));
  await put(prisma.pontoon, 60, (i) => ({ code: `P${i}`, harbourId: r.some(12) }));
  await put(prisma.berth, 700, (i) => ({ number: `${i}`, length: 5 + r.some(20), state: r.pick(["free", "let", "closed"]), pontoonId: r.some(60) }));
  await put(prisma.club, 40, (i) => ({ code: `C${i + 1}`, name: `Club ${i}` }));
  await put(prisma.owner, 900, (i) => ({ name: `Owner ${r.some(9999)}`, email: `o${i}@example.org`, clubCode: `C${r.some(40)}`, referredById: i < 9 || r.next() < 0.15 ? null : r.some(i) }));
  await put(prisma.boatClass, 45, (i) => ({ code: `K${i + 1}`, name: `Class ${i}`, handicap: 80 + r.some(60) }));
  await put(prisma.boat, 1200, (i) => ({ name: `Boat ${r.some(9999)}`, sailNumber: `DEN-${1000 + i}`, length: 5 + r.some(15), ownerId: r.some(900), classCode: `K${r.some(45)}` }));
  await put(prisma.tag, 30, (i) => ({ name: `tag ${i}` }));
  const links = [];
  for (let i = 0; i < 1200; i += 1) for (let j = i % 4; j; j -= 1) links.push(`(${i + 1}, ${((i * 7 + j * 5) % 30) + 1})`);
  await prisma.$executeRawUnsafe(`INSERT INTO "_BoatToTag" VALUES ${links.join(", ")}`);
  await put(prisma.mooring, 2000, () => { const from = r.some(200); return { boatId: r.some(1200), berthId: r.some(700), from: day(from), to: day(from + r.some(60)), cents: r.some(90000), state: r.pick(STATES) }; });
  await put(prisma.visit, 2500, () => ({ boatId: r.some(1200), berthId: r.some(700), arrived: at(200), nights: r.some(9), state: r.pick(STATES) }));
  await put(prisma.invoice, 1800, () => ({ ownerId: often(), issued: at(200), currency: r.pick(CURRENCIES), state: r.pick(STATES), cents: r.some(90000) }));
  await put(prisma.supplier, 40, (i) => ({ name: `Supplier ${i}`, country: r.pick(["DK", "DE", "IT"]) }));
  await put(prisma.product, 300, (i) => ({ sku: `S${i + 1}`, name: `Product ${i}`, stock: 100 + r.some(900), supplierId: r.some(40) }));
  await put(prisma.invoiceLine, 5000, () => ({ invoiceId: r.some(1800), productSku: `S${r.some(300)}`, quantity: r.some(5), cents: r.some(9000) }));
  await put(prisma.payment, 1500, () => ({ invoiceId: r.some(1800), cents: r.some(9000), at: at(200) }));
  await put(prisma.exchangeRate, 1200, (i) => ({ currency: CURRENCIES[i % 6], day: day(Math.floor(i / 6)), rate: 100 + r.some(900) }));
  await put(prisma.mechanic, 60, (i) => ({ badge: `M${i + 1}`, name: `Mechanic ${i}` }));
  await put(prisma.workOrder, 1100, () => ({ boatId: r.some(1200), mechanicBadge: `M${r.some(60)}`, kind: r.pick(KINDS), state: r.pick(STATES), opened: at(200) }));
  await put(prisma.partUse, 1800, () => ({ workOrderId: r.some(1100), productSku: `S${r.some(300)}`, quantity: r.some(4), state: r.pick(STATES) }));
  await put(prisma.comment, 2500, (i) => ({ workOrderId: r.some(1100), parentId: i < 200 ? null : r.some(Math.min(i, 500)), authorId: r.some(60), body: `comment ${i}` }));
  await put(prisma.certificate, 2600, () => ({ boatId: r.some(1200), kind: r.pick(KINDS), expires: at(400) }));
  await put(prisma.regatta, 60, (i) => ({ name: `Regatta ${i}`, harbourId: r.some(12), starts: day(r.some(190)) }));
  await put(prisma.entry, 1500, () => ({ regattaId: r.some(60), boatId: r.some(1200), skipperId: r.some(900), state: r.pick(STATES) }));
  await put(prisma.raceResult, 3000, (i) => ({ entryId: r.some(1500), race: 1 + (i % 5), place: r.some(40) }));
  await put(prisma.meterReading, 3500, () => ({ berthId: r.some(700), day: day(r.some(200)), kwh: r.some(400) }));
  await put(prisma.weatherReport, 2400, (i) => ({ harbourId: 1 + (i % 12), day: day(Math.floor(i / 12)), wind: r.some(30) }));
  await put(prisma.notice, 240, (i) => ({ harbourId: r.some(12), title: `Notice ${i}`, published: at(200) }));
  await put(prisma.noticeRead, 3000, () => ({ noticeId: r.some(240), ownerId: r.some(900), at: at(200) }));
  await put(prisma.setting, 144, (i) => ({ harbourId: 1 + (i % 12), name: NAMES[Math.floor(i / 12)], value: `${i}` }));
  await put(prisma.waitingEntry, 500, () => ({ ownerId: r.some(900), harbourId: r.some(12), length: 5 + r.some(14), since: at(200) }));
  await put(prisma.session, 150, (i) => ({ token: `t${i + 1}`, ownerId: r.some(900), seen: at(9) }));
  await put(prisma.document, 900, (i) => ({ subjectKind: r.pick(["boat", "owner", "workOrder"]), subjectId: r.some(900), title: `Document ${i}` }));
  await put(prisma.task, 900, () => ({ kind: r.pick(KINDS), subjectId: r.some(700), state: "open" }));
  await put(prisma.message, 900, () => ({ ownerId: r.some(900), topic: r.pick(KINDS), state: r.pick(["new", "new", "sent"]) }));
  await prisma.$executeRawUnsafe("ANALYZE");
}

// ---- the lists that pages share
const boats = (q, r, s) => q.boat.findMany({ orderBy: { name: "asc" }, skip: r.some(900), take: s });
const berths = (q, r, s) => q.berth.findMany({ where: { length: { gte: 5 + r.some(9) } }, orderBy: { id: "asc" }, skip: r.some(200), take: s });
const owners = (q, r, s) => q.owner.findMany({ where: { id: { gt: r.some(800) } }, orderBy: { id: "asc" }, take: s });
const invoices = (q, r, s) => q.invoice.findMany({ where: { state: r.pick(STATES) }, orderBy: { issued: "desc" }, take: s });
const orders = (q, r, s) => q.workOrder.findMany({ where: { opened: { gte: day(r.some(120)) } }, orderBy: { opened: "asc" }, take: s });
const entries = (q, r, s) => q.entry.findMany({ where: { regattaId: { in: [r.some(30), 30 + r.some(30)] } }, orderBy: { id: "asc" }, take: s });
const visits = (q, r, s) => q.visit.findMany({ orderBy: { arrived: "desc" }, skip: r.some(2000), take: s });

class Calls {
  add(table) { this[table] = (this[table] || 0) + 1; }
  again(table) { if (!JOINS) this.add(table); } // the related row that a fluent call reads by a statement of its own, without relationJoins
}

// A page: label, why, work(q, r, size, calls, tx). Those that are "own" open their transactions themselves, by tx.
const pages = {};
const page = (route, label, why, work, own = false) => { pages[route] = { label, why, work, own }; };
const own = true;

page("GET /boats", "Boat>Owner", "the owner of each boat of the list is read by findUnique, one after the other", async (q, r, s, c) => {
  for (const b of await boats(q, r, s)) { c.add("Owner"); await q.owner.findUnique({ where: { id: b.ownerId } }); }
});
page("GET /boats/tags", "Boat>Boat, Boat>Tag", "the template asks each boat for its tags by the fluent call findUnique().tags(): the boat is read again, and its tags", async (q, r, s, c) => {
  for (const b of await boats(q, r, s)) { c.add("Boat"); c.again("Tag"); await q.boat.findUnique({ where: { id: b.id } }).tags(); }
});
page("GET /berths", "Berth>Pontoon, Pontoon>Harbour", "nested serializers: each berth reads its pontoon, each pontoon its harbour", async (q, r, s, c) => {
  for (const b of await berths(q, r, s)) {
    c.add("Pontoon"); const p = await q.pontoon.findUnique({ where: { id: b.pontoonId } });
    c.add("Harbour"); await q.harbour.findUnique({ where: { id: p.harbourId } });
  }
});
page("GET /owners/balance", "Owner>Invoice", "what each owner owes is an aggregate of its own, in place of one groupBy", async (q, r, s, c) => {
  for (const o of await owners(q, r, s)) { c.add("Invoice"); await q.invoice.aggregate({ where: { ownerId: o.id, state: "open" }, _sum: { cents: true } }); }
});
page("GET /owners", "Owner>Boat", "boats are counted for each owner, all sent at once by Promise.all; Prisma does not batch count", async (q, r, s, c) => {
  await Promise.all((await owners(q, r, s)).map((o) => { c.add("Boat"); return q.boat.count({ where: { ownerId: o.id } }); }));
});
page("GET /owners/referrals", "Owner>Owner", "who referred each owner, a row of the same table", async (q, r, s, c) => {
  for (const o of await owners(q, r, s)) if (o.referredById) { c.add("Owner"); await q.owner.findUnique({ where: { id: o.referredById }, select: { name: true } }); }
});
page("GET /invoices/print", "Invoice>InvoiceLine, InvoiceLine>Product", "a list in a list: the lines of each invoice, then the product of each line by its sku", async (q, r, s, c) => {
  for (const i of await invoices(q, r, Math.min(s, 12))) {
    c.add("InvoiceLine");
    for (const l of await q.invoiceLine.findMany({ where: { invoiceId: i.id } })) { c.add("Product"); await q.product.findUnique({ where: { sku: l.productSku } }); }
  }
});
page("GET /workorders", "WorkOrder>Mechanic, WorkOrder>Comment", "for each order its mechanic by the badge (findFirst is not batched) and a count of comments, all at once", async (q, r, s, c) => {
  await Promise.all((await orders(q, r, s)).map((o) => {
    c.add("Mechanic"); c.add("Comment");
    return Promise.all([q.mechanic.findFirst({ where: { badge: o.mechanicBadge } }), q.comment.count({ where: { workOrderId: o.id } })]);
  }));
});
page("GET /workorders/:id/comments", "Comment>Comment", "a tree of answers is walked down: a findMany for the answers to each comment", async (q, r, s, c) => {
  let left = s;
  const down = async (one) => { if (!left) return; left -= 1; c.add("Comment"); for (const a of await q.comment.findMany({ where: { parentId: one.id } })) await down(a); };
  for (const one of await q.comment.findMany({ where: { parentId: null }, orderBy: { id: "asc" }, skip: r.some(150), take: 6 })) await down(one);
});
page("GET /boats/visits", "Boat>Visit", "the last visit of each boat: findFirst with an order", async (q, r, s, c) => {
  for (const b of await boats(q, r, s)) { c.add("Visit"); await q.visit.findFirst({ where: { boatId: b.id }, orderBy: { arrived: "desc" } }); }
});
page("GET /moorings", "Mooring>Mooring, Mooring>Boat", "the fluent call findUnique().boat() for each contract: the contract is read again, and its boat", async (q, r, s, c) => {
  for (const m of await q.mooring.findMany({ where: { state: "open", from: { lte: day(100 + r.some(100)) } }, orderBy: { id: "desc" }, take: s })) { c.add("Mooring"); c.again("Boat"); await q.mooring.findUnique({ where: { id: m.id } }).boat(); }
});
page("POST /graphql boats", "Boat>Certificate, Boat>Mooring", "resolvers of two fields, findMany and findFirst, without a loader, sent a level at a time", async (q, r, s, c) => {
  const field = { certificates: (b) => { c.add("Certificate"); return q.certificate.findMany({ where: { boatId: b.id } }); }, mooring: (b) => { c.add("Mooring"); return q.mooring.findFirst({ where: { boatId: b.id, to: { gt: day(100) } } }); } };
  await Promise.all((await boats(q, r, s)).map(async (b) => ({ ...b, certificates: await field.certificates(b), mooring: await field.mooring(b) })));
});
page("GET /export/moorings.csv", "Mooring>Boat, Mooring>Berth", "pages of twenty contracts by a cursor; the boat and the berth of each are read while the line is written", async (q, r, s, c) => {
  for (let id = r.some(1900), i = 0; i < 2 && id; i += 1) {
    const rows = await q.mooring.findMany({ take: Math.min(s, 20), skip: 1, cursor: { id }, orderBy: { id: "asc" } });
    for (const m of rows) {
      c.add("Boat"); await q.boat.findUnique({ where: { id: m.boatId }, select: { name: true, sailNumber: true } });
      c.add("Berth"); await q.berth.findUnique({ where: { id: m.berthId }, select: { number: true } });
    }
    id = rows.length ? rows[rows.length - 1].id : 0;
  }
});
page("GET /berths/free", "Berth>Mooring", "for each berth the contracts that overlap the nights asked for are counted", async (q, r, s, c) => {
  const [from, to] = [day(r.some(150)), day(150 + r.some(50))];
  for (const b of await berths(q, r, s)) { c.add("Mooring"); await q.mooring.count({ where: { berthId: b.id, from: { lt: to }, to: { gt: from } } }); }
});
page("POST /invoices/remind", "Invoice>Owner", "for each late invoice the owner is read, then a message is written", async (q, r, s, c) => {
  for (const i of await q.invoice.findMany({ where: { state: "late", cents: { gt: r.some(60000) } }, orderBy: { cents: "asc" }, take: s })) {
    c.add("Owner"); const o = await q.owner.findUnique({ where: { id: i.ownerId } });
    await q.message.create({ data: { ownerId: o.id, topic: `reminder to ${o.email}`, state: "new" } });
  }
});
page("JOB bill", "Owner>Mooring", "the contracts of each owner are summed and an invoice written; a transaction for every four owners", async (q, r, s, c, tx) => {
  const all = await tx((t) => owners(t, r, s));
  for (let i = 0; i < all.length; i += 4) await tx(async (t) => {
    for (const o of all.slice(i, i + 4)) {
      c.add("Mooring"); const { _sum } = await t.mooring.aggregate({ where: { boat: { ownerId: o.id } }, _sum: { cents: true } });
      await t.invoice.create({ data: { ownerId: o.id, issued: day(0), currency: "EUR", state: "void", cents: _sum.cents || 0 } });
    }
  });
}, own);
page("JOB meters", "Berth>MeterReading", "nightly: for each berth the reading before is looked up, then the new one is written", async (q, r, s, c) => {
  const today = day(201);
  for (const b of await berths(q, r, s)) {
    c.add("MeterReading"); const before = await q.meterReading.findFirst({ where: { berthId: b.id, day: { lt: today } }, orderBy: { day: "desc" } });
    await q.meterReading.create({ data: { berthId: b.id, day: today, kwh: (before ? before.kwh : 0) + 1 } });
  }
});
page("GET /products", "Product>Supplier", "suppliers go through a cache of the request; each miss is a query", async (q, r, s, c) => {
  const cache = new Map();
  for (const p of await q.product.findMany({ where: { id: { gt: r.some(250) } }, orderBy: { id: "asc" }, take: s })) if (!cache.has(p.supplierId)) { c.add("Supplier"); cache.set(p.supplierId, await q.supplier.findUnique({ where: { id: p.supplierId } })); }
});
page("GET /notices", "Notice>NoticeRead", "for each notice: has this owner read it, by the composite key", async (q, r, s, c) => {
  const ownerId = r.some(900);
  for (const n of await q.notice.findMany({ orderBy: { published: "desc" }, skip: r.some(180), take: s })) { c.add("NoticeRead"); await q.noticeRead.findUnique({ where: { noticeId_ownerId: { noticeId: n.id, ownerId } } }); }
});
page("GET /search/owners", "Owner>Owner", "the hits of a search in plain SQL are ids; each is then read as a whole row", async (q, r, s, c) => {
  for (const hit of await q.$queryRaw`SELECT id FROM "Owner" WHERE name ILIKE ${`%${r.some(9)}%`} ORDER BY name LIMIT ${s}`) { c.add("Owner"); await q.owner.findUnique({ where: { id: hit.id } }); }
});
page("GET /admin/documents", "Document>Boat, Document>Owner, Document>WorkOrder", "a polymorphic reference: kind and id; the subject of each document is found in the table of its kind", async (q, r, s, c) => {
  for (const d of await q.document.findMany({ where: { id: { gt: r.some(800) } }, orderBy: { id: "asc" }, take: s })) { c.add(d.subjectKind[0].toUpperCase() + d.subjectKind.slice(1)); await q[d.subjectKind].findUnique({ where: { id: d.subjectId } }); }
});
page("POST /visits/checkout", "Visit>Visit", "each visit of the list is locked by its id in plain SQL (FOR UPDATE) before it is written", async (q, r, s, c) => {
  const rows = await q.visit.findMany({ where: { state: "open", id: { gt: r.some(1800) } }, orderBy: { id: "asc" }, take: s, select: { id: true } });
  for (const { id } of rows) { c.add("Visit"); const [v] = await q.$queryRaw`SELECT id, nights, state FROM "Visit" WHERE id = ${id} FOR UPDATE`; await q.visit.update({ where: { id }, data: { nights: v.nights + 1 } }); }
});
page("GET /entries/clubs", "Entry>Owner, Owner>Club", "two to-one steps from each entry: its skipper, then the club of the skipper by its code", async (q, r, s, c) => {
  for (const e of await entries(q, r, s)) {
    c.add("Owner"); const o = await q.owner.findUnique({ where: { id: e.skipperId } });
    c.add("Club"); await q.club.findUnique({ where: { code: o.clubCode } });
  }
});
page("GET /waiting", "WaitingEntry>Berth", "for each entry of the waiting list the shortest free berth that is long enough: an open range and LIMIT 1", async (q, r, s, c) => {
  for (const w of await q.waitingEntry.findMany({ where: { harbourId: { lte: r.some(12) } }, orderBy: { since: "asc" }, take: s })) { c.add("Berth"); await q.berth.findFirst({ where: { state: "free", length: { gte: w.length } }, orderBy: { length: "asc" } }); }
});
page("GET /regattas", "Regatta>WeatherReport", "the weather of each regatta by harbour and day, a key of two columns", async (q, r, s, c) => {
  for (const g of await q.regatta.findMany({ orderBy: { starts: "desc" }, skip: r.some(20), take: s })) { c.add("WeatherReport"); await q.weatherReport.findUnique({ where: { harbourId_day: { harbourId: g.harbourId, day: g.starts } } }); }
});
page("POST /parts/issue", "PartUse>Product", "the product of each planned part is read and its stock lowered", async (q, r, s, c) => {
  for (const u of await q.partUse.findMany({ where: { state: "planned", workOrderId: { gt: r.some(700) } }, orderBy: { productSku: "asc" }, take: s })) {
    c.add("Product"); const p = await q.product.findUnique({ where: { sku: u.productSku } });
    await q.product.update({ where: { id: p.id }, data: { stock: p.stock - u.quantity } });
  }
});
page("GET /invoices/rates", "Invoice>ExchangeRate", "the rate of each invoice: of its currency, the newest of or before its day", async (q, r, s, c) => {
  for (const i of await invoices(q, r, s)) { c.add("ExchangeRate"); await q.exchangeRate.findFirst({ where: { currency: i.currency, day: { lte: i.issued } }, orderBy: { day: "desc" } }); }
});
page("GET /owners/:id/statement", "Invoice>Payment", "one owner; the payments of each of his invoices", async (q, r, s, c) => {
  const o = await q.owner.findUnique({ where: { id: r.some(40) }, include: { invoices: true }, ...separate });
  for (const i of o.invoices) { c.add("Payment"); await q.payment.findMany({ where: { invoiceId: i.id }, orderBy: { at: "asc" } }); }
});
page("POST /regattas/:id/copy", "Entry>Boat, Entry>Owner", "a nested create with a connect for each entry of last year: Prisma looks up the boat and the skipper of each before it inserts", async (q, r, s, c) => {
  const last = await q.regatta.findFirst({ where: { id: r.some(60) } });
  const old = await q.entry.findMany({ where: { regattaId: last.id }, include: { boat: { select: { sailNumber: true } } }, take: s, ...joined });
  for (const _ of old) { c.add("Boat"); c.add("Owner"); }
  await q.regatta.create({ data: { name: last.name, harbour: { connect: { id: last.harbourId } }, starts: day(365), entries: { create: old.map((e) => ({ boat: { connect: { sailNumber: e.boat.sailNumber } }, skipper: { connect: { id: e.skipperId } }, state: "planned" })) } } });
});
page("GET /berths/tariffs", "Berth>Setting", "the tariff of the harbour of each berth is read for each berth again", async (q, r, s, c) => {
  for (const b of await q.berth.findMany({ where: { state: "free" }, include: { pontoon: true }, orderBy: { length: "desc" }, skip: r.some(150), take: s, ...joined })) { c.add("Setting"); await q.setting.findUnique({ where: { harbourId_name: { harbourId: b.pontoon.harbourId, name: "tariff" } } }); }
});

page("GET /boats/included", "", "owner, class and tags by include: a query by IN for each relation", (q, r, s) => q.boat.findMany({ ...separate, include: { owner: true, class: true, tags: true }, orderBy: { name: "asc" }, skip: r.some(900), take: s }));
page("GET /boats/joined", "", "owner, class and certificates by include, joined where the feature is on", (q, r, s) => q.boat.findMany({ ...joined, include: { owner: { include: { club: true } }, class: true, certificates: true }, where: { length: { gt: r.some(12) } }, orderBy: { id: "asc" }, take: s }));
page("POST /graphql loader", "", "resolvers behind dataloader: a query for each field of a level", async (q, r, s) => {
  const owner = new DataLoader(async (ids) => { const rows = await q.owner.findMany({ where: { id: { in: [...ids] } } }); return ids.map((id) => rows.find((x) => x.id === id)); });
  const papers = new DataLoader(async (ids) => { const rows = await q.certificate.findMany({ where: { boatId: { in: [...ids] } } }); return ids.map((id) => rows.filter((x) => x.boatId === id)); });
  const club = new DataLoader(async (codes) => { const rows = await q.club.findMany({ where: { code: { in: [...codes] } } }); return codes.map((one) => rows.find((x) => x.code === one)); });
  await Promise.all((await boats(q, r, s)).map((b) => Promise.all([owner.load(b.ownerId).then((o) => club.load(o.clubCode)), papers.load(b.id)])));
});
page("POST /graphql unique", "", "resolvers that call findUnique in one tick: Prisma makes one query by IN of them", async (q, r, s) => {
  const rows = await visits(q, r, s);
  const found = await Promise.all(rows.map((v) => q.boat.findUnique({ where: { id: v.boatId } })));
  await Promise.all(found.map((b) => q.boatClass.findUnique({ where: { code: b.classCode } })));
});
page("GET /owners/counted", "", "counts by _count, in the one statement", (q, r, s) => q.owner.findMany({ where: { id: { gt: r.some(800) } }, select: { id: true, name: true, _count: { select: { boats: true, invoices: true } } }, orderBy: { id: "asc" }, take: s }));
page("GET /dashboard", "", "many different questions at once, each asked once", (q, r) => Promise.all([
  q.boat.count(), q.visit.count({ where: { state: "open" } }), q.mooring.count({ where: { to: { gt: day(100) } } }), q.invoice.aggregate({ where: { state: "late" }, _sum: { cents: true } }), q.workOrder.count({ where: { state: "open" } }),
  q.waitingEntry.count(), q.notice.count(), q.berth.groupBy({ by: ["state"], _count: true }), visits(q, r, 5), invoices(q, r, 5), orders(q, r, 5),
]));
page("GET /boats/:id", "", "one boat and what belongs to it", async (q, r) => {
  const b = await q.boat.findUnique({ where: { id: r.some(1200) } });
  await q.owner.findUnique({ where: { id: b.ownerId } });
  await q.boatClass.findUnique({ where: { code: b.classCode } });
  await q.mooring.findFirst({ where: { boatId: b.id }, orderBy: { from: "desc" }, include: { berth: true }, ...separate });
  await q.visit.findMany({ where: { boatId: b.id }, orderBy: { arrived: "desc" }, take: 10 });
  await q.certificate.findMany({ where: { boatId: b.id } });
  await q.workOrder.findMany({ where: { boatId: b.id, state: "open" } });
});
page("GET /export/visits.csv", "", "six pages of forty by a cursor, each with its boats by IN", async (q, r) => {
  for (let id = r.some(1900), i = 0; i < 6; i += 1) { const rows = await q.visit.findMany({ take: 40, skip: 1, cursor: { id }, orderBy: { id: "asc" }, include: { boat: true }, ...separate }); id = rows[rows.length - 1].id; }
});
page("GET /export/owners.csv", "", "the boats of 64 visits, then their owners, by IN in chunks of eight", async (q, r) => {
  const ids = [...new Set((await visits(q, r, 64)).map((v) => v.boatId))];
  for (let i = 0; i < ids.length; i += 8) await q.boat.findMany({ where: { id: { in: ids.slice(i, i + 8) } }, select: { id: true, ownerId: true } });
});
page("POST /owners/import", "", "lines of a file: each address is asked for, and inserted if it is new", async (q, r, s) => {
  for (let i = 0; i < s; i += 1) { const email = r.next() < 0.2 ? `o${r.some(899)}@example.org` : `n${r.some(1e8)}@example.org`; if (!(await q.owner.findUnique({ where: { email } }))) await q.owner.create({ data: { name: "New", email, clubCode: "C1" } }); }
});
page("POST /meters", "", "a file of readings: an INSERT for each by create, nothing is read", async (q, r, s) => { for (let i = 0; i < s; i += 1) await q.meterReading.create({ data: { berthId: r.some(700), day: day(202), kwh: r.some(400) } }); });
page("POST /invoices", "", "an invoice and its lines by a nested create, after a look at the products by IN", async (q, r) => {
  const skus = Array.from({ length: 8 }, () => `S${r.some(300)}`);
  const products = await q.product.findMany({ where: { sku: { in: skus } } });
  await q.invoice.create({ data: { ownerId: r.some(900), issued: day(1), currency: "EUR", state: "void", cents: 1, lines: { create: products.map((p) => ({ productSku: p.sku, quantity: 1, cents: 100 })) } }, include: { lines: true }, ...separate });
});
page("GET /tasks/:id", "", "the state of one task is polled until it has been asked often enough", async (q, r) => { const id = r.some(900); for (let i = 0; i < 8; i += 1) { await q.task.findUnique({ where: { id }, select: { state: true } }); await new Promise((done) => setTimeout(done, 4)); } });
page("POST /moorings/:id/extend", "", "an optimistic lock is lost and taken again: one contract, read and written up to six times", async (q, r) => {
  const id = r.some(2000);
  for (let i = 0; i < 6; i += 1) { const m = await q.mooring.findUnique({ where: { id } }); await q.mooring.updateMany({ where: { id, version: i < 5 ? m.version - 1 : m.version }, data: { version: { increment: 1 } } }); }
});
page("JOB worker", "", "a worker takes task after task (SKIP LOCKED), a transaction for each", async (q, r, s, c, tx) => {
  for (let i = 0; i < 8; i += 1) await tx(async (t) => { const [one] = await t.$queryRaw`SELECT id, kind FROM "Task" WHERE state = 'open' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED`; if (one) await t.task.update({ where: { id: one.id }, data: { state: "done" } }); });
}, own);
page("JOB outbox", "", "a worker takes a message, reads whom it is for, marks it and commits; nothing lists them", async (q, r, s, c, tx) => {
  for (let i = 0; i < 7; i += 1) await tx(async (t) => { const [m] = await t.$queryRaw`SELECT id, "ownerId" FROM "Message" WHERE state = 'new' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED`; if (m) { await t.owner.findUnique({ where: { id: m.ownerId } }); await t.message.update({ where: { id: m.id }, data: { state: "sent" } }); } });
}, own);
page("GET /settings", "", "ten settings of one harbour by name, a constant list", async (q, r) => { const harbourId = r.some(12); for (const name of NAMES.slice(0, 10)) await q.setting.findUnique({ where: { harbourId_name: { harbourId, name } } }); });
page("GET /week", "", "arrivals are counted for each of seven days", async (q, r) => { const d = r.some(180); for (let i = 0; i < 7; i += 1) await q.visit.count({ where: { arrived: { gte: day(d + i), lt: day(d + i + 1) } } }); });
page("GET /complete", "", "what is typed, letter after letter", async (q, r) => { const w = `Owner ${1000 + r.some(8000)}`; for (let i = 5; i <= w.length; i += 1) await q.owner.findMany({ where: { name: { startsWith: w.slice(0, i), mode: "insensitive" } }, select: { id: true, name: true }, take: 6 }); });
page("GET /compare", "", "boats that the client chose, after a list of something else", async (q, r, s) => { await q.notice.findMany({ orderBy: { published: "desc" }, take: s }); for (let i = 0; i < 6; i += 1) await q.boat.findUnique({ where: { id: r.some(1200) } }); });
page("GET /visits/states", "", "a count for each state of a constant list", async (q) => { for (const state of STATES) await q.visit.count({ where: { state } }); });
page("DELETE /messages", "", "rows of a list are deleted one by one: writes only", async (q, r, s) => { for (const m of await q.message.findMany({ where: { state: "sent", id: { gt: r.some(500) } }, select: { id: true }, orderBy: { id: "asc" }, take: Math.min(s, 8) })) await q.message.deleteMany({ where: { id: m.id } }); });
page("GET /me", "", "one row is asked for again by each layer of the code", async (q, r) => { const id = r.some(900); for (let i = 0; i < 6; i += 1) await q.owner.findUnique({ where: { id } }); });
page("GET /regattas/:id", "", "one regatta with three levels of include: a query for each level", (q, r) => q.regatta.findUnique({ where: { id: r.some(60) }, include: { harbour: true, entries: { include: { boat: { include: { class: true } }, skipper: { include: { club: true } }, results: true } } }, ...separate }));
page("PUT /boats/:id/tags", "", "the names of a form: connectOrCreate asks for each name and inserts what is new", (q, r) => q.boat.update({ where: { id: r.some(1200) }, data: { tags: { connectOrCreate: [1, 2, 3, 4, 5, 6].map((i) => { const name = `tag ${i < 5 ? i * 5 + r.some(5) - 3 : r.some(1e6)}`; return { where: { name }, create: { name } }; }) } } }));
page("POST /regattas/check", "", "a free name is searched: name, name 2, name 3 ... until one is not taken", async (q, r) => { const n = r.some(40); for (let i = 0; i < 8; i += 1) { const taken = await q.regatta.findFirst({ where: { name: `Regatta ${n + i}` }, select: { id: true } }); if (!taken) break; } });
page("GET /boats/facets", "", "a filter counted by different columns, once each", async (q, r) => {
  const where = { length: { gt: r.some(10) } };
  await q.boat.count({ where });
  await q.boat.groupBy({ by: ["classCode"], where, _count: true });
  await q.boat.count({ where: { ...where, certificates: { some: { kind: "insurance" } } } });
  await q.boat.count({ where: { ...where, moorings: { some: { state: "open" } } } });
  await q.boat.count({ where: { ...where, tags: { some: { name: "tag 3" } } } });
  await q.boat.count({ where: { ...where, owner: { clubCode: "C7" } } });
});
page("PUT /certificates", "", "an upsert for each row that the client sent, ON CONFLICT: writes only", async (q, r, s) => {
  const rows = Array.from({ length: s }, () => ({ boatId: r.some(1200), kind: r.pick(KINDS) })).sort((a, b) => a.boatId - b.boatId || (a.kind < b.kind ? -1 : 1));
  for (const one of rows) await q.certificate.upsert({ where: { boatId_kind: one }, create: { ...one, expires: day(500) }, update: { expires: day(500) } });
});
page("GET /harbours", "", "the three harbours of the front page, the weather of each: three rows, always", async (q, r) => { const today = day(r.some(199)); for (const h of await q.harbour.findMany({ orderBy: { id: "asc" }, take: 3 })) await q.weatherReport.findUnique({ where: { harbourId_day: { harbourId: h.id, day: today } } }); });
page("GET /invoices", "", "five pages of a table are prefetched: rows and their number for each", async (q, r, s) => { const where = { state: r.pick(STATES) }; for (let i = 0; i < 5; i += 1) { await q.invoice.findMany({ where, orderBy: { id: "desc" }, skip: i * s, take: s }); await q.invoice.count({ where }); } });

const PUBLIC = new Set(["JOB bill", "JOB meters", "JOB worker", "JOB outbox", "GET /harbours", "GET /complete", "GET /week"]);

async function serve([count, seed, mode, file]) {
  const { withQueryTags } = require("@prisma/sqlcommenter-query-tags");
  const draw = random(Number(seed));
  const jobs = Array.from({ length: Number(count) }, (_, i) => ({ id: `${seed}-${i}`, number: i, route: draw.pick(Object.keys(pages)) }));
  const tx = (work) => (mode === "transaction" ? prisma.$transaction(work, { maxWait: 60e3, timeout: 60e3 }) : work(prisma));
  const truth = [];
  const run = async (job) => {
    const { work, own: alone } = pages[job.route];
    const r = random(911 * Number(seed) + job.number);
    const calls = new Calls();
    const size = r.pick(SIZES);
    const enter = (q) => (PUBLIC.has(job.route) ? null : q.session.findUnique({ where: { token: `t${r.some(150)}` }, include: { owner: true } }));
    if (alone) await work(prisma, r, size, calls, tx);
    else await tx(async (q) => { await enter(q); await work(q, r, size, calls, tx); });
    return calls;
  };
  const loop = async () => {
    for (let job = jobs.shift(); job; job = jobs.shift()) {
      const start = Date.now() / 1000;
      const calls = await withQueryTags({ request_id: job.id, route: job.route }, () => run(job));
      const labelled = pages[job.route].label.split(", ").map((one) => one.split(">")[1]);
      for (const table of Object.keys(calls)) if (!labelled.includes(table)) throw new Error(`${job.route} does not do what its label says: ${table}`);
      const found = Object.keys(calls).filter((table) => calls[table] >= LEAST).sort();
      truth.push({ route: job.route, start, end: Date.now() / 1000, session: "", unit: null, request: job.id, n_plus_one: found });
      await new Promise((done) => setTimeout(done, 1 + 5 * draw.next()));
    }
  };
  await Promise.all(Array.from({ length: 6 }, loop));
  fs.writeFileSync(file, truth.map((line) => JSON.stringify(line) + "\n").join(""));
}

const labels = async () => {
  console.log(["page", "parent>child of each N+1", "why"].join("\t"));
  for (const [route, { label, why }] of Object.entries(pages)) console.log([route, label || "none", why].join("\t"));
};

const prisma = verb === "labels" ? null : client();
({ fill, labels, serve: () => serve(options) })[verb]().then(() => prisma && prisma.$disconnect(), (error) => { console.error(error); process.exit(1); });
