// Corpus "resort": the application. A ski resort on MikroORM, a pool of four connections, six requests at a time.
//   node resort_mikroorm.js labels
//   node resort_mikroorm.js fill  PORT
//   node resort_mikroorm.js serve PORT COUNT SEED transaction|autocommit TRUTH
"use strict";
const { AsyncLocalStorage } = require("async_hooks");
const fs = require("fs");
const { MikroORM, EntitySchema, LockMode, ReferenceKind, raw } = require("@mikro-orm/postgresql");
const pg = require(require.resolve("pg", { paths: [require.resolve("knex", { paths: [require.resolve("@mikro-orm/postgresql")] })] }));

const [, , verb, port] = process.argv;
const SIZES = [5, 8, 12, 20, 30, 50];
const STATES = ["open", "held", "paid", "closed", "void"];
const GRADES = ["green", "blue", "red", "black", "park", "freeride"];
const RIGHTS = ["read", "write", "refund", "close", "export", "hire"];
const STATIONS = ["summit", "ridge", "bowl", "mid", "village", "glacier"];
const T0 = Date.UTC(2026, 0, 5);
const DAY = 86400e3;
const LEAST = 5;
const request = new AsyncLocalStorage();

// ---- entities
const to = (entity, more = {}) => ({ kind: ReferenceKind.MANY_TO_ONE, entity, ref: true, ...more });
const some = (entity, mappedBy) => ({ kind: ReferenceKind.ONE_TO_MANY, entity, mappedBy });
const both = (entity) => ({ kind: ReferenceKind.MANY_TO_MANY, entity, owner: true });
const maybe = { nullable: true };
const s = { type: "string" };
const i = { type: "integer" };
const t = { type: "datetime" };
const ENTITIES = {
  Resort: { name: s, areas: some("Area", "resort") },
  Area: { resort: to("Resort"), name: s, lifts: some("Lift", "area"), lodges: some("Lodge", "area") },
  Lift: { area: to("Area"), name: s, kind: s, altitude: i, slopes: some("Slope", "lift"), reports: some("StatusReport", "lift") },
  StatusReport: { lift: to("Lift"), at: t, state: s },
  Tag: { name: s },
  Slope: { lift: to("Lift"), code: s, name: s, grade: s, tags: both("Tag"), snow: some("SnowReport", "slope") },
  SnowReport: { slope: to("Slope"), day: i, depth: i },
  Webcam: { area: to("Area"), url: s },
  Staff: { name: s, badge: s, role: s, grants: some("StaffGrant", "staff") },
  StaffGrant: { staff: to("Staff"), right: { ...s, fieldName: "permission" } },
  Session: { token: s, staff: to("Staff") },
  Guest: { name: s, email: s, referredBy: to("Guest", maybe), bookings: some("Booking", "guest"), passes: some("SkiPass", "guest"), hires: some("Hire", "guest") },
  PassType: { code: s, name: s, cents: i },
  SkiPass: { serial: s, guest: to("Guest"), typeCode: s, validFrom: t, state: s },
  Scan: { passSerial: s, lift: to("Lift"), at: t },
  School: { name: s },
  Instructor: { school: to("School"), name: s, courses: some("Course", "instructor") },
  Course: { instructor: to("Instructor"), name: s, starts: t, state: s, revision: i, enrolments: some("Enrolment", "course") },
  Enrolment: { course: to("Course", { primary: true }), guest: to("Guest", { primary: true }), cents: i },
  Lodge: { area: to("Area"), name: s, rooms: some("Room", "lodge") },
  Room: { lodge: to("Lodge"), number: s, beds: i, state: s },
  Booking: { room: to("Room"), guest: to("Guest"), arrives: t, leaves: t, cents: i, state: s },
  Gear: { barcode: s, kind: s, size: i, state: s },
  Hire: { guest: to("Guest"), gearBarcode: s, at: t, cents: i, state: s },
  Incident: { slope: to("Slope"), patroller: to("Staff"), at: t, severity: i, notes: some("IncidentNote", "incident") },
  IncidentNote: { incident: to("Incident"), parent: to("IncidentNote", maybe), author: to("Staff"), body: s, answers: some("IncidentNote", "parent") },
  Spare: { name: s, stock: i },
  Maintenance: { lift: to("Lift"), due: i, state: s, spares: both("Spare") },
  Product: { sku: s, name: s, cents: i, stock: i },
  Invoice: { guest: to("Guest"), at: t, cents: i, state: s, lines: some("InvoiceLine", "invoice") },
  InvoiceLine: { invoice: to("Invoice"), sku: s, quantity: i },
  Notice: { area: to("Area"), body: s, at: t },
  Delivery: { notice: to("Notice"), guest: to("Guest"), state: s },
  Setting: { resort: to("Resort"), name: s, value: s },
  Weather: { station: s, at: t, celsius: i },
  Job: { kind: s, subject: i, state: s },
  Audit: { kind: s, subjectId: i, staff: to("Staff"), action: s },
};
const entities = Object.entries(ENTITIES).map(([name, own]) => {
  const id = name === "Enrolment" ? {} : { id: { type: "integer", primary: true, autoincrement: true } };
  return new EntitySchema({ name, properties: { ...id, ...own } });
});

// The id of its request goes into each statement.
const send = pg.Client.prototype.query;
pg.Client.prototype.query = function (query, ...rest) {
  const now = request.getStore();
  if (now) {
    const end = ` /*request_id='${now.id}',route='${encodeURIComponent(now.route)}'*/`;
    const ended = (text) => (text.includes("/*request_id=") ? text : text.replace(/;\s*$/, "") + end);
    if (typeof query === "string") query = ended(query);
    else if (query && query.text && !query.submit) query = { ...query, text: ended(query.text) };
  }
  return send.call(this, query, ...rest);
};

function random(seed) {
  let a = (seed * 2654435761) >>> 0;
  const next = () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let x = Math.imul(a ^ (a >>> 15), 1 | a);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
  return { next, some: (last) => 1 + Math.floor(next() * last), pick: (list) => list[Math.floor(next() * list.length)] };
}

let orm;
const start = async () => {
  orm = await MikroORM.init({ entities, dbName: "shop", host: "127.0.0.1", port: Number(port), user: "postgres", pool: { min: 0, max: 4 }, debug: false });
};

async function fill() {
  await start();
  await orm.schema.createSchema();
  const r = random(23);
  const at = (days) => new Date(T0 + r.some(days * 1440) * 60e3);
  const put = async (name, many, row) => {
    const rows = Array.from({ length: many }, (_, n) => row(n));
    for (let n = 0; n < many; n += 500) await orm.em.fork().insertMany(name, rows.slice(n, n + 500));
  };
  await put("Resort", 8, (n) => ({ name: `Resort ${n}` }));
  await put("Area", 60, (n) => ({ resort: r.some(8), name: `Area ${n}` }));
  await put("Lift", 160, (n) => ({ area: r.some(60), name: `Lift ${n}`, kind: r.pick(["chair", "gondola", "tow"]), altitude: 900 + r.some(2600) }));
  await put("StatusReport", 2500, () => ({ lift: r.some(160), at: at(60), state: r.pick(STATES) }));
  await put("Tag", 40, (n) => ({ name: `tag ${n}` }));
  await put("Slope", 400, (n) => ({ lift: r.some(160), code: `S${n}`, name: `Slope ${r.some(9999)}`, grade: r.pick(GRADES) }));
  await put("SnowReport", 4000, (n) => ({ slope: 1 + (n % 400), day: 1 + Math.floor(n / 400), depth: r.some(300) }));
  await put("Webcam", 200, (n) => ({ area: r.some(60), url: `cam/${n}` }));
  await put("Staff", 180, (n) => ({ name: `Staff ${r.some(9999)}`, badge: `B${n}`, role: r.pick(["patrol", "office", "lift", "shop"]) }));
  await put("StaffGrant", 500, () => ({ staff: r.some(180), right: r.pick(RIGHTS) }));
  await put("Session", 100, (n) => ({ token: `t${n}`, staff: r.some(180) }));
  await put("Guest", 100, (n) => ({ name: `Guest ${r.some(9999)}`, email: `g${n}@example.org` }));
  await put("Guest", 900, (n) => ({ name: `Guest ${r.some(9999)}`, email: `g${100 + n}@example.org`, referredBy: r.some(100 + Math.floor(n / 500) * 500) }));
  await put("PassType", 40, (n) => ({ code: `T${n}`, name: `Type ${n}`, cents: 100 * r.some(400) }));
  await put("SkiPass", 2000, (n) => ({ serial: `P${10000 + n}`, guest: r.some(1000), typeCode: `T${r.some(40) - 1}`, validFrom: at(60), state: r.pick(STATES) }));
  await put("Scan", 4000, () => ({ passSerial: `P${9999 + r.some(2000)}`, lift: r.some(160), at: at(60) }));
  await put("School", 30, (n) => ({ name: `School ${n}` }));
  await put("Instructor", 150, (n) => ({ school: r.some(30), name: `Instructor ${n}` }));
  await put("Course", 600, (n) => ({ instructor: r.some(150), name: `Course ${n}`, starts: at(60), state: r.pick(STATES), revision: 1 }));
  await put("Enrolment", 3000, (n) => ({ course: 1 + (n % 600), guest: 1 + ((n * 7 + Math.floor(n / 600) * 13) % 1000), cents: r.some(9000) }));
  await put("Lodge", 90, (n) => ({ area: r.some(60), name: `Lodge ${n}` }));
  await put("Room", 700, (n) => ({ lodge: r.some(90), number: `${n}`, beds: r.some(6), state: r.pick(STATES) }));
  await put("Booking", 3000, () => { const a = at(60); return { room: r.some(700), guest: r.some(1000), arrives: a, leaves: new Date(+a + r.some(9) * DAY), cents: r.some(90000), state: r.pick(STATES) }; });
  await put("Gear", 900, (n) => ({ barcode: `G${n}`, kind: r.pick(["ski", "board", "boot", "helmet"]), size: r.some(50), state: r.pick(STATES) }));
  await put("Hire", 3000, () => ({ guest: r.some(1000), gearBarcode: `G${r.some(900) - 1}`, at: at(60), cents: r.some(9000), state: r.pick(STATES) }));
  await put("Incident", 600, () => ({ slope: r.some(400), patroller: r.some(180), at: at(60), severity: r.some(5) }));
  await put("IncidentNote", 200, (n) => ({ incident: r.some(600), author: r.some(180), body: `note ${n}` }));
  await put("IncidentNote", 1800, (n) => ({ incident: r.some(600), parent: n < 900 ? r.some(200) : 200 + r.some(900), author: r.some(180), body: `answer ${n}` }));
  await put("Spare", 120, (n) => ({ name: `Spare ${n}`, stock: r.some(90) }));
  await put("Maintenance", 700, () => ({ lift: r.some(160), due: r.some(60), state: r.pick(STATES) }));
  await put("Product", 300, (n) => ({ sku: `K${n}`, name: `Product ${n}`, cents: r.some(9000), stock: 500 }));
  await put("Invoice", 900, () => ({ guest: r.some(1000), at: at(60), cents: r.some(90000), state: r.pick(STATES) }));
  await put("InvoiceLine", 3600, (n) => ({ invoice: 1 + (n % 900), sku: `K${r.some(300) - 1}`, quantity: r.some(5) }));
  await put("Notice", 300, (n) => ({ area: r.some(60), body: `notice ${n}`, at: at(60) }));
  await put("Delivery", 2500, () => ({ notice: r.some(300), guest: r.some(1000), state: r.pick(STATES) }));
  await put("Setting", 80, (n) => ({ resort: 1 + (n % 8), name: `s${Math.floor(n / 8)}`, value: `${n}` }));
  await put("Weather", 1200, (n) => ({ station: STATIONS[n % 6], at: at(60), celsius: r.some(30) - 25 }));
  await put("Job", 900, () => ({ kind: r.pick(["mail", "pdf", "sync"]), subject: r.some(700), state: "open" }));
  await put("Audit", 1500, () => ({ kind: r.pick(["Lift", "Slope", "Gear"]), subjectId: r.some(160), staff: r.some(180), action: r.pick(RIGHTS) }));
  const run = (sql) => orm.em.fork().execute(sql);
  await run("INSERT INTO slope_tags (slope_id, tag_id) SELECT s.id, 1 + (s.id * 7 + n * 11) % 40 FROM slope s, generate_series(1, 3) n");
  await run("INSERT INTO maintenance_spares (maintenance_id, spare_id) SELECT m.id, 1 + (m.id * 5 + n * 13) % 120 FROM maintenance m, generate_series(1, 2) n");
  for (const index of ["session (token)", "ski_pass (serial)", "ski_pass (guest_id)", "pass_type (code)", "scan (at)", "gear (barcode)", "hire (gear_barcode)", "hire (guest_id)", "booking (room_id)", "booking (guest_id)", "status_report (lift_id)", "snow_report (slope_id)", "incident_note (parent_id)", "incident_note (incident_id)", "course (instructor_id)", "product (sku)", "invoice_line (invoice_id)", "delivery (notice_id)", "guest (email)"]) await run(`CREATE INDEX ON ${index}`);
  await run("ANALYZE");
}

// ---- what the pages share
const slopes = (em, r, n, more = {}) => em.find("Slope", { grade: r.pick(GRADES) }, { orderBy: { name: "asc", id: "asc" }, limit: n, ...more });
const lifts = (em, r, n, more = {}) => em.find("Lift", { altitude: { $gte: 900 + r.some(1200) } }, { orderBy: { altitude: "asc" }, limit: n, ...more });
const areas = (em, r, n, more = {}) => em.find("Area", {}, { orderBy: { name: "asc" }, limit: n, offset: r.some(10), ...more });
const guests = (em, r, n, more = {}) => em.find("Guest", { id: { $gt: 100 + r.some(800) } }, { orderBy: { id: "asc" }, limit: n, ...more });
const bookings = (em, r, n, more = {}) => em.find("Booking", { state: r.pick(STATES) }, { orderBy: { arrives: "desc" }, limit: n, offset: r.some(300), ...more });
const courses = (em, r, n, more = {}) => em.find("Course", { starts: { $gt: new Date(T0 + r.some(40) * DAY) } }, { orderBy: { starts: "asc" }, limit: n, ...more });
const incidents = (em, r, n, more = {}) => em.find("Incident", { severity: { $gte: r.some(3) } }, { orderBy: { at: "desc" }, limit: n, offset: r.some(100), ...more });
const rooms = (em, r, n, more = {}) => em.find("Room", { beds: { $lte: 1 + r.some(5) } }, { orderBy: { id: "asc" }, limit: n, ...more });
const hires = (em, r, n, more = {}) => em.find("Hire", { state: r.pick(STATES) }, { orderBy: { at: "desc" }, limit: n, offset: r.some(300), ...more });
const staffs = (em, r, n, more = {}) => em.find("Staff", { role: r.pick(["patrol", "office", "lift", "shop"]) }, { orderBy: { name: "asc" }, limit: n, ...more });
const day = (r) => new Date(T0 + r.some(50) * DAY);
const locked = (em, work) => (em.isInTransaction() ? work(em) : em.transactional(work));

/** Counts what a page asks row by row; what the identity map has is not asked. */
class Calls {
  add(table) { this[table] = (this[table] || 0) + 1; }
  load(table, ref) { if (!ref) return null; if (!ref.isInitialized()) this.add(table); return ref.load(); }
  async items(table, collection, options) { if (!collection.isInitialized()) this.add(table); await collection.init(options); return collection.getItems(); }
  async each(table, rows, work) { const out = []; for (const row of rows) { this.add(table); out.push(await work(row)); } return out; }
}

// A page: label, why, work(em, r, size, calls, tx). Those that are "own" open their transactions themselves, by tx.
const pages = {};
const page = (route, label, why, work, own = false) => { pages[route] = { label, why, work, own }; };
const own = true;

// ---- pages with an N+1
page("slopes", "slope>lift", "the serializer of a slope loads its lift, a lazy reference", async (em, r, n, c) => {
  const shown = async (slope) => ({ code: slope.code, lift: (await c.load("lift", slope.lift)).name });
  const out = [];
  for (const slope of await slopes(em, r, n)) out.push(await shown(slope));
});
page("slopes/tags", "slope>slope_tags", "the template initialises the collection of tags (many to many) of each slope", async (em, r, n, c) => { for (const one of await slopes(em, r, n)) await c.items("slope_tags", one.tags); });
page("lifts/status", "lift>status_report", "the newest report of each lift: collection.matching with an order and a limit of one", async (em, r, n, c) => { await c.each("status_report", await lifts(em, r, n), (one) => one.reports.matching({ orderBy: { at: "desc" }, limit: 1 })); });
page("areas/overview", "area>lift, area>lodge", "loadCount of two collections for each area", async (em, r, n, c) => {
  for (const area of await areas(em, r, n)) { c.add("lift"); await area.lifts.loadCount(); c.add("lodge"); await area.lodges.loadCount(); }
});
page("guests", "guest>booking", "the bookings of each guest are loaded while the list is rendered", async (em, r, n, c) => { for (const one of await guests(em, r, n)) await c.items("booking", one.bookings, { orderBy: { arrives: "desc" } }); });
page("guests/referrals", "guest>guest", "who referred each guest: a lazy reference into the same table", async (em, r, n, c) => { for (const one of await guests(em, r, n)) await c.load("guest", one.referredBy); });
page("courses", "course>instructor, instructor>school", "two lazy to-one steps from each course", async (em, r, n, c) => {
  for (const one of await courses(em, r, n)) { const who = await c.load("instructor", one.instructor); await c.load("school", who.school); }
});
page("courses/roster", "course>enrolment, enrolment>guest", "a list in a list: the enrolments (composite key) of each course, the guest of each", async (em, r, n, c) => {
  for (const one of await courses(em, r, Math.min(n, 12))) for (const e of await c.items("enrolment", one.enrolments)) await c.load("guest", e.guest);
});
page("scans", "scan>ski_pass", "each scan has the serial of a pass; the pass is found by it", async (em, r, n, c) => {
  await c.each("ski_pass", await em.find("Scan", { at: { $gt: day(r) } }, { orderBy: { at: "asc" }, limit: n }), (one) => em.findOne("SkiPass", { serial: one.passSerial }));
});
page("passes/types", "ski_pass>pass_type", "the type of each pass by its code through a cache of the request; each miss is a query", async (em, r, n, c) => {
  const cache = new Map();
  for (const one of await em.find("SkiPass", { validFrom: { $gt: day(r) } }, { orderBy: { validFrom: "asc" }, limit: n })) {
    if (!cache.has(one.typeCode)) { c.add("pass_type"); cache.set(one.typeCode, await em.findOne("PassType", { code: one.typeCode })); }
  }
});
page("incidents/feed", "incident>incident_note, incident>staff", "notes and patroller of each incident, all sent at once by Promise.all", async (em, r, n, c) => {
  await Promise.all((await incidents(em, r, n)).map(async (one) => { await Promise.all([c.items("incident_note", one.notes), c.load("staff", one.patroller)]); }));
});
page("incidents/thread", "incident_note>incident_note", "a tree of answers is walked down: the collection of answers of each note", async (em, r, n, c) => {
  let left = n;
  const down = async (note) => { if (left <= 0) return; left -= 1; for (const one of await c.items("incident_note", note.answers)) await down(one); };
  for (const one of await em.find("IncidentNote", { parent: null }, { orderBy: { id: "asc" }, limit: 5, offset: r.some(180) })) await down(one);
});
page("export/bookings.csv", "booking>room, room>lodge, booking>guest", "pages of twenty bookings, the identity map cleared after each; room, lodge and guest are lazy", async (em, r, n, c) => {
  for (let from = r.some(2500), k = 0; k < 2; k += 1) {
    for (const one of await em.find("Booking", { id: { $gt: from } }, { orderBy: { id: "asc" }, limit: Math.min(n, 20) })) {
      const room = await c.load("room", one.room); await c.load("lodge", room.lodge); await c.load("guest", one.guest); from = one.id;
    }
    em.clear();
  }
});
page("rooms/free", "room>booking", "for each room the bookings that overlap the nights asked for are counted", async (em, r, n, c) => {
  const from = day(r), until = new Date(+from + 4 * DAY);
  await c.each("booking", await rooms(em, r, n), (one) => em.count("Booking", { room: one, arrives: { $lt: until }, leaves: { $gt: from } }));
});
page("gear/last", "gear>hire", "the last hire of each piece, by its barcode, ORDER BY and LIMIT 1", async (em, r, n, c) => {
  await c.each("hire", await em.find("Gear", { kind: r.pick(["ski", "board", "boot", "helmet"]) }, { orderBy: { size: "asc", id: "asc" }, limit: n }), (one) => em.findOne("Hire", { gearBarcode: one.barcode }, { orderBy: { at: "desc" } }));
});
page("hires/late", "hire>gear, hire>guest", "for each hire the piece by its barcode and the guest, two queries a row", async (em, r, n, c) => {
  for (const one of await hires(em, r, n)) { c.add("gear"); await em.findOne("Gear", { barcode: one.gearBarcode }); await c.load("guest", one.guest); }
});
page("POST courses/remind", "enrolment>guest", "for each enrolment the guest is loaded, a delivery is written and flushed", async (em, r, n, c) => {
  for (const one of await em.find("Enrolment", { course: { $gt: r.some(500) } }, { orderBy: { course: "asc", guest: "asc" }, limit: Math.min(n, 20) })) {
    await c.load("guest", one.guest);
    em.create("Delivery", { notice: r.some(300), guest: one.guest.unwrap(), state: "open" });
    await em.flush();
  }
});
page("POST bookings/checkin", "booking>room", "the room of each booking is loaded and changed, a flush for each", async (em, r, n, c) => {
  const list = await bookings(em, r, Math.min(n, 20));
  for (const one of list.sort((a, b) => a.room.id - b.room.id)) { const room = await c.load("room", one.room); room.state = room.state === "held" ? "open" : "held"; await em.flush(); }
});
page("JOB invoices", "guest>hire", "the hires of each guest are summed and an invoice inserted; a commit after every five guests", async (em, r, n, c, tx) => {
  const list = await tx((e) => guests(e, r, n));
  for (let k = 0; k < list.length; k += 5) await tx(async (e) => {
    for (const one of list.slice(k, k + 5)) {
      c.add("hire");
      const { sum } = await e.qb("Hire", "h").select(raw("sum(h.cents) as sum")).where({ guest: one.id, state: "open" }).execute("get");
      if (sum) await e.insert("Invoice", { guest: one.id, at: new Date(T0), cents: Number(sum), state: "open" });
    }
  });
}, own);
page("JOB snow", "slope>snow_report", "nightly: for each slope the report of the day before, then the new one is inserted", async (em, r, n, c, tx) => {
  await tx(async (e) => { for (const one of await slopes(e, r, n)) { c.add("snow_report"); const old = await e.findOne("SnowReport", { slope: one, day: 10 }); await e.insert("SnowReport", { slope: one.id, day: 11, depth: old.depth + 1 }); } });
}, own);
page("graphql/lifts", "lift>area, lift>slope", "resolvers of two fields for each lift, without a loader, a level at a time", async (em, r, n, c) => {
  const list = await lifts(em, r, n);
  const resolvers = { area: (one) => c.load("area", one.area), slopes: (one) => c.items("slope", one.slopes) };
  for (const field of ["area", "slopes"]) await Promise.all(list.map(resolvers[field]));
});
page("maintenance", "maintenance>lift, maintenance>maintenance_spares", "the lift (to one) and the spares (many to many) of each task", async (em, r, n, c) => {
  for (const one of await em.find("Maintenance", { state: r.pick(STATES) }, { orderBy: { due: "asc", id: "asc" }, limit: n })) { await c.load("lift", one.lift); await c.items("maintenance_spares", one.spares); }
});
page("invoices", "invoice>invoice_line, invoice_line>product", "the lines of each invoice, then the product of each line by its sku", async (em, r, n, c) => {
  for (const one of await em.find("Invoice", { state: r.pick(STATES) }, { orderBy: { at: "desc" }, limit: Math.min(n, 12) }))
    for (const line of await c.items("invoice_line", one.lines)) { c.add("product"); await em.findOne("Product", { sku: line.sku }); }
});
page("instructors/next", "instructor>course", "the next course of each instructor: an open range, an order and LIMIT 1", async (em, r, n, c) => {
  const now = day(r);
  await c.each("course", await em.find("Instructor", {}, { orderBy: { name: "asc" }, limit: n, offset: r.some(90) }), (one) => em.findOne("Course", { instructor: one, starts: { $gte: now } }, { orderBy: { starts: "asc" } }));
});
page("lodges/revenue", "lodge>booking", "a sum over a join for each lodge, by the query builder, in place of one GROUP BY", async (em, r, n, c) => {
  await c.each("booking", await em.find("Lodge", {}, { orderBy: { name: "asc" }, limit: n, offset: r.some(30) }), (one) => em.qb("Booking", "b").select(raw("sum(b.cents) as sum")).leftJoin("b.room", "r").where({ "r.lodge": one.id }).execute("get"));
});
page("search/guests", "guest>guest", "the hits of a search are ids; each is then read as a whole row", async (em, r, n, c) => {
  const hits = await em.execute("select id from guest where name like ? order by id limit ?", [`Guest ${r.some(9)}%`, n]);
  await c.each("guest", hits, (hit) => em.findOne("Guest", hit.id));
});
page("slopes/conditions", "slope>snow_report", "for each slope the report of one day: two columns, one of them the same for all", async (em, r, n, c) => { const today = r.some(10); await c.each("snow_report", await slopes(em, r, n), (one) => em.findOne("SnowReport", { slope: one, day: today })); });
page("staff/rights", "staff>staff_grant", "asked for each member of staff: has he this right", async (em, r, n, c) => { const right = r.pick(RIGHTS); await c.each("staff_grant", await staffs(em, r, n), (one) => em.count("StaffGrant", { staff: one, right })); });
page("POST hires/return", "hire>hire", "each hire of the list is locked by its id (FOR UPDATE) before all are written in one flush", async (em, r, n, c) => {
  await locked(em, async (e) => { for (const one of await hires(e, r, Math.min(n, 20), { orderBy: { id: "asc" } })) { c.add("hire"); await e.lock(one, LockMode.PESSIMISTIC_WRITE); one.cents += 1; } });
});
page("webcams", "webcam>area, area>resort", "the area of each webcam, the resort of each area, while a template is rendered", async (em, r, n, c) => {
  for (const cam of await em.find("Webcam", { id: { $lt: 60 + r.some(140) } }, { orderBy: { id: "desc" }, limit: n })) { const area = await c.load("area", cam.area); await c.load("resort", area.resort); }
});
page("notices/unread", "notice>delivery", "for each notice: has this guest got it", async (em, r, n, c) => { const me = r.some(1000); await c.each("delivery", await em.find("Notice", {}, { orderBy: { at: "desc" }, limit: n, offset: r.some(200) }), (one) => em.findOne("Delivery", { notice: one, guest: me }, { fields: ["state"] })); });
page("export/passes.json", "guest>ski_pass", "a stream of guests in chunks, the passes of each loaded while it is written", async (em, r, n, c) => {
  for (let from = r.some(800), k = 0; k < 3; k += 1) { const list = await em.find("Guest", { id: { $gt: from } }, { orderBy: { id: "asc" }, limit: 10 }); for (const one of list) { await c.items("ski_pass", one.passes); from = one.id; } em.clear(); }
});
page("admin/audit", "audit>lift, audit>slope, audit>gear", "a polymorphic reference: kind and id; the row of each entry is found in the table of its kind", async (em, r, n, c) => {
  for (const one of await em.find("Audit", { id: { $lt: 100 + r.some(1400) } }, { orderBy: { id: "desc" }, limit: n })) {
    if (!em.getUnitOfWork().getById(one.kind, one.subjectId)) c.add(one.kind.toLowerCase());
    await em.findOne(one.kind, one.subjectId);
  }
});
page("lifts/above", "lift>lift", "for each lift the next higher one of its area, by plain SQL", async (em, r, n, c) => { await c.each("lift", await lifts(em, r, n), (one) => em.execute("select id, name from lift where area_id = ? and altitude > ? order by altitude limit 1", [one.area.id, one.altitude])); });

// ---- pages without
page("slopes/joined", "", "lift and area populated by one join", (em, r, n) => slopes(em, r, n, { populate: ["lift.area"], strategy: "joined" }));
page("slopes/populated", "", "lift, area, tags and snow populated by IN, a query for each relation", (em, r, n) => slopes(em, r, n, { populate: ["lift.area", "tags", "snow"], strategy: "select-in" }));
page("lifts/populated", "", "em.populate on a list that is there already", async (em, r, n) => { const list = await lifts(em, r, n); await em.populate(list, ["area.resort", "slopes"], { strategy: "select-in" }); });
page("graphql/loader", "", "the resolvers of graphql/lifts behind MikroORM's data loader: a query for each field", async (em, r, n) => {
  const list = await lifts(em, r, n);
  await Promise.all(list.map((one) => one.area.load({ dataloader: true })));
  await Promise.all(list.map((one) => one.slopes.load({ dataloader: true })));
});
page("areas/grouped", "", "the counts of areas/overview by GROUP BY", async (em, r, n) => {
  const ids = (await areas(em, r, n)).map((one) => one.id);
  for (const name of ["Lift", "Lodge", "Webcam"]) await em.qb(name, "x").select(["x.area_id", raw("count(*) as n")]).where({ area: ids }).groupBy("x.area_id").execute("all");
});
page("dashboard", "", "many different questions, each once", async (em, r) => {
  for (const name of ["Guest", "Booking", "Hire", "Scan", "Incident", "Course", "Gear", "Invoice"]) await em.count(name, {});
  await bookings(em, r, 5); await incidents(em, r, 5); await courses(em, r, 5); await em.find("Notice", {}, { orderBy: { at: "desc" }, limit: 5 });
});
page("bookings/paged", "", "findAndCount: one page and the number of all", (em, r, n) => em.findAndCount("Booking", { state: r.pick(STATES) }, { orderBy: { id: "asc" }, limit: n, offset: n * r.some(4), populate: ["guest"] }));
page("export/scans", "", "keyset paging over the scans", async (em, r) => { let from = r.some(2000); for (let k = 0; k < 7; k += 1) { const rows = await em.find("Scan", { id: { $gt: from } }, { orderBy: { id: "asc" }, limit: 40 }); if (rows.length) from = rows[rows.length - 1].id; em.clear(); } });
page("export/chunks", "", "passes of a list of scans, by IN in chunks of eight", async (em, r) => { const list = await em.find("Scan", { at: { $gt: day(r) } }, { orderBy: { at: "asc" }, limit: 64 }); for (let k = 0; k < list.length; k += 8) await em.find("SkiPass", { serial: { $in: [...new Set(list.slice(k, k + 8).map((x) => x.passSerial))] } }); });
page("POST guests/import", "", "lines of a file: each address must be unique, so it is asked for, then inserted", async (em, r, n) => {
  for (let k = 0; k < Math.min(n, 30); k += 1) { const email = `n${r.some(1e8)}@example.org`; if (!(await em.count("Guest", { email }))) await em.insert("Guest", { name: "New", email }); }
});
page("POST gear/batch", "", "many new entities, one flush: one INSERT of many rows", async (em, r, n) => { for (let k = 0; k < n; k += 1) em.create("Gear", { barcode: `N${r.some(1e8)}`, kind: "ski", size: r.some(50), state: "open" }); await em.flush(); });
page("POST gear/service", "", "a list is read, each is changed, one flush: a batch UPDATE", async (em, r, n) => { for (const one of await em.find("Gear", { state: r.pick(STATES) }, { orderBy: { id: "asc" }, limit: n, offset: r.some(100) })) one.size += 1; await em.flush(); });
page("POST enrolments/upsert", "", "upsertMany of lines of a file", (em, r, n) => em.upsertMany("Enrolment", Array.from({ length: n }, (_, k) => ({ course: 1 + (k % 600), guest: 1 + ((r.some(900) + k) % 1000) || 1, cents: 1 })).filter((x, k, all) => all.findIndex((y) => y.course === x.course && y.guest === x.guest) === k)));
page("job/poll", "", "the state of one job is asked again and again", async (em, r) => { const id = r.some(900); for (let k = 0; k < 8; k += 1) { await em.findOne("Job", id, { fields: ["state"], refresh: true }); await new Promise((done) => setTimeout(done, 3)); } });
page("POST course/retry", "", "an optimistic lock is lost and taken again: one row, read and written up to six times", async (em, r) => { const id = r.some(600); for (let k = 0; k < 6; k += 1) { const one = await em.findOne("Course", id, { refresh: true }); await em.nativeUpdate("Course", { id, revision: one.revision - (k < 5 ? 1 : 0) }, { revision: one.revision + 1 }); } });
page("JOB worker", "", "a worker takes job after job (SKIP LOCKED), a transaction for each", async (em, r, n, c, tx) => {
  for (let k = 0; k < 8; k += 1) await tx((e) => locked(e, async (f) => { const [one] = await f.find("Job", { state: "open", kind: r.pick(["mail", "pdf", "sync"]) }, { orderBy: { id: "asc" }, limit: 1, lockMode: LockMode.PESSIMISTIC_PARTIAL_WRITE }); if (one) one.state = "done"; }));
}, own);
page("JOB deliveries", "", "a worker takes a delivery, reads its guest and commits; nothing lists them", async (em, r, n, c, tx) => {
  for (let k = 0; k < 7; k += 1) await tx((e) => locked(e, async (f) => { const [one] = await f.find("Delivery", { state: "held" }, { orderBy: { id: "asc" }, limit: 1, lockMode: LockMode.PESSIMISTIC_PARTIAL_WRITE }); if (one) { await f.findOne("Guest", one.guest.id); one.state = "closed"; } }));
}, own);
page("settings", "", "eight settings of a resort by name, a constant list", async (em, r) => { const resort = r.some(8); for (let k = 0; k < 8; k += 1) await em.findOne("Setting", { resort, name: `s${k}` }); });
page("rooms/calendar", "", "after a list of rooms a count of arrivals for each of seven days", async (em, r, n) => { await rooms(em, r, n); const d = +day(r); for (let k = 0; k < 7; k += 1) await em.count("Booking", { arrives: { $gte: new Date(d + k * DAY), $lt: new Date(d + (k + 1) * DAY) } }); });
page("complete", "", "what is typed, letter after letter", async (em, r) => { const w = `Slope ${1000 + r.some(8000)}`; for (let k = 5; k <= w.length; k += 1) await em.find("Slope", { name: { $like: `${w.slice(0, k)}%` } }, { fields: ["name"], limit: 6 }); });
page("compare", "", "slopes that the client chose, after a list of notices", async (em, r) => { await em.find("Notice", {}, { orderBy: { at: "desc" }, limit: 6 }); for (let k = 0; k < 6; k += 1) await em.findOne("Slope", r.some(400), { populate: ["tags"] }); });
page("lift", "", "one lift and what belongs to it", async (em, r) => { const one = await em.findOneOrFail("Lift", r.some(160)); await one.area.load(); await one.slopes.init(); await one.reports.matching({ orderBy: { at: "desc" }, limit: 10 }); await em.find("Maintenance", { lift: one }); });
page("guest", "", "one guest, with collections by IN, and the last hires", async (em, r) => { const one = await em.findOneOrFail("Guest", r.some(1000), { populate: ["passes", "bookings.room.lodge"], strategy: "select-in" }); await one.hires.matching({ orderBy: { at: "desc" }, limit: 5 }); });
page("slopes/grades", "", "a count for each grade of a constant list", async (em) => { for (const grade of GRADES) await em.count("Slope", { grade }); });
page("POST rooms/clean", "", "a form of many rows: an UPDATE for each, by ids of the client", async (em, r, n) => { const ids = Array.from({ length: n }, () => r.some(700)).sort((a, b) => a - b); for (const id of ids) await em.nativeUpdate("Room", { id }, { state: r.pick(STATES) }); });
page("POST deliveries/prune", "", "rows of a list are deleted one by one: writes only", async (em, r, n) => { for (const one of await em.find("Delivery", { state: "void" }, { orderBy: { id: "asc" }, limit: Math.min(n, 8), offset: r.some(20) })) await em.nativeDelete("Delivery", { id: one.id }); });
page("POST shop/checkout", "", "the basket of the client: each sku is read and its stock lowered, then one invoice", async (em, r) => {
  const skus = [...new Set(Array.from({ length: 7 }, () => `K${r.some(300) - 1}`))].sort();
  for (const sku of skus) { const one = await em.findOne("Product", { sku }); await em.nativeUpdate("Product", { sku }, { stock: one.stock + 1 }); }
  const invoice = em.create("Invoice", { guest: r.some(1000), at: new Date(T0), cents: 1, state: "open" });
  for (const sku of skus) em.create("InvoiceLine", { invoice, sku, quantity: 1 });
  await em.flush();
});
page("whoami", "", "one row is asked for again by each layer of the code", async (em, r) => { const id = r.some(180); for (let k = 0; k < 6; k += 1) await em.findOne("Staff", id, { refresh: true }); });
page("slopes/json", "", "the snow of each slope as JSON by a correlated subquery, one statement", (em, r, n) => em.execute("select s.id, (select json_agg(x.depth order by x.day) from snow_report x where x.slope_id = s.id) as snow from slope s order by s.name limit ?", [n]));
page("weather", "", "the newest reading of six stations, a constant list", async (em) => { for (const station of STATIONS) await em.findOne("Weather", { station }, { orderBy: { at: "desc" } }); });
page("passes/verify", "", "a batch of serials from a scanner, one query by IN, the guests by IN", (em, r, n) => em.find("SkiPass", { serial: Array.from({ length: n }, () => `P${9999 + r.some(2000)}`) }, { populate: ["guest"], strategy: "select-in" }));
page("POST courses/name", "", "a free name is looked for: name, name-2, name-3 ... until nothing has it", async (em, r) => { const base = `Course ${r.some(599)}`; for (let k = 0; k < 8; k += 1) { const name = k ? `${base}-${k}` : base; if (!(await em.count("Course", { name })) && k > 5) { await em.insert("Course", { instructor: r.some(150), name: `${base}-${r.some(1e6)}`, starts: new Date(T0), state: "open", revision: 1 }); break; } } });

const PUBLIC = new Set(["JOB invoices", "JOB snow", "JOB worker", "JOB deliveries", "complete", "weather", "webcams"]);

async function serve([count, seed, mode, file]) {
  await start();
  const draw = random(Number(seed));
  const jobs = Array.from({ length: Number(count) }, (_, k) => ({ id: `${seed}-${k}`, number: k, route: draw.pick(Object.keys(pages)) }));
  const tx = (work) => (mode === "transaction" ? orm.em.fork().transactional(work) : work(orm.em.fork()));
  const truth = [];
  const run = async (job) => {
    const { work, own: alone } = pages[job.route];
    const r = random(911 * Number(seed) + job.number);
    const calls = new Calls();
    const size = r.pick(SIZES);
    const enter = async (em) => { if (!PUBLIC.has(job.route)) await em.findOneOrFail("Session", { token: `t${r.some(99)}` }, { populate: ["staff"] }); };
    if (alone) await work(null, r, size, calls, tx);
    else await tx(async (em) => { await enter(em); await work(em, r, size, calls, tx); });
    return calls;
  };
  const loop = async () => {
    for (let job = jobs.shift(); job; job = jobs.shift()) {
      const begun = Date.now() / 1000;
      const calls = await request.run(job, () => run(job)).catch((error) => { error.message = `${job.route}: ${error.message}`; throw error; });
      const labelled = pages[job.route].label.split(", ").map((one) => one.split(">")[1]);
      for (const table of Object.keys(calls)) if (!labelled.includes(table)) throw new Error(`${job.route} does not do what its label says: ${table}`);
      const found = Object.keys(calls).filter((table) => calls[table] >= LEAST).sort();
      truth.push({ route: job.route, start: begun, end: Date.now() / 1000, session: "", unit: null, request: job.id, n_plus_one: found });
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

({ fill, labels, serve: () => serve(process.argv.slice(4)) })[verb]().then(() => orm && orm.close(), (error) => { console.error(error); process.exit(1); });
