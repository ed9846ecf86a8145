// Corpus "stays": the application. A chain of hotels on Drizzle, a pool of five connections, six requests at a time.
//   node stays_drizzle.js labels
//   node stays_drizzle.js fill  PORT
//   node stays_drizzle.js serve PORT COUNT SEED transaction|autocommit TRUTH
"use strict";
const { AsyncLocalStorage } = require("async_hooks");
const fs = require("fs");
const pg = require("pg");
const DataLoader = require("dataloader");
const { buildSchema, graphql } = require("graphql");
const { relations, eq, ne, gt, gte, lt, lte, and, asc, desc, inArray, isNull, isNotNull, like, sql, count, avg, sum, max } = require("drizzle-orm");
const { drizzle } = require("drizzle-orm/node-postgres");
const { pgTable, getTableConfig, integer, serial, varchar, timestamp } = require("drizzle-orm/pg-core");

const [, , verb, port] = process.argv;
const SIZES = [5, 8, 12, 20, 30, 50];
const STATES = ["asked", "held", "sure", "inside", "gone", "dropped"];
const METHODS = ["card", "cash", "wire", "voucher", "points"];
const CURRENCIES = ["CHF", "CZK", "EUR", "GBP", "PLN", "USD"];
const START = Date.UTC(2026, 2, 1);
const HOUR = 3600e3;
const DAY = 24 * HOUR;
const LEAST = 5;
const request = new AsyncLocalStorage();

const id = () => serial().primaryKey();
const n = () => integer();
const s = () => varchar({ length: 80 });
const t = () => timestamp({ withTimezone: true });
const snake = (name) => name.replace(/[A-Z]/g, (one) => "_" + one.toLowerCase());

const brand = pgTable("brand", { id: id(), name: s(), currency: s() });
const region = pgTable("region", { id: id(), name: s(), parentId: n() });
const hotel = pgTable("hotel", { id: id(), brandId: n(), regionId: n(), managerId: n(), name: s(), city: s(), stars: n() });
const roomKind = pgTable("room_kind", { id: id(), name: s(), beds: n(), cents: n() });
const room = pgTable("room", { id: id(), hotelId: n(), kindId: n(), number: n(), floor: n() });
const guest = pgTable("guest", { id: id(), name: s(), email: s(), country: s(), referrerId: n() });
const loyalty = pgTable("loyalty", { id: id(), guestId: n(), tier: s(), points: n() });
const booking = pgTable("booking", { id: id(), roomId: n(), guestId: n(), agencyCode: s(), state: s(), arrives: t(), leaves: t(), cents: n() });
const agency = pgTable("agency", { id: id(), code: s(), name: s(), percent: n() });
const item = pgTable("item", { id: id(), name: s(), cents: n() });
const extra = pgTable("extra", { id: id(), bookingId: n(), itemId: n(), many: n() });
const payment = pgTable("payment", { id: id(), bookingId: n(), method: s(), currency: s(), cents: n(), day: n() });
const fx = pgTable("fx", { id: id(), currency: s(), day: n(), rate: n() });
const review = pgTable("review", { id: id(), hotelId: n(), guestId: n(), stars: n(), body: s() });
const reply = pgTable("reply", { id: id(), reviewId: n(), employeeId: n(), body: s() });
const employee = pgTable("employee", { id: id(), hotelId: n(), leadId: n(), name: s(), login: s() });
const duty = pgTable("duty", { id: id(), employeeId: n(), starts: t(), ends: t() });
const cleaning = pgTable("cleaning", { id: id(), roomId: n(), employeeId: n(), at: t(), state: s() });
const amenity = pgTable("amenity", { id: id(), name: s() });
const hotelAmenity = pgTable("hotel_amenity", { hotelId: n(), amenityId: n() });
const season = pgTable("season", { id: id(), kindId: n(), starts: t(), ends: t(), cents: n() });
const message = pgTable("message", { id: id(), bookingId: n(), fromEmail: s(), body: s(), at: t() });
const setting = pgTable("setting", { id: id(), brandId: n(), name: s(), value: s() });
const photo = pgTable("photo", { id: id(), ownerKind: s(), ownerId: n(), file: s() });
const audit = pgTable("audit", { id: id(), subjectKind: s(), subjectId: n(), employeeId: n(), action: s(), at: t() });
const seen = pgTable("seen", { id: id(), hotelId: n(), at: t() });
const login = pgTable("login", { id: id(), token: s(), employeeId: n() });
const outbox = pgTable("outbox", { id: id(), state: s(), bookingId: n(), tries: n() });

const tables = { brand, region, hotel, roomKind, room, guest, loyalty, booking, agency, item, extra, payment, fx, review, reply, employee,
  duty, cleaning, amenity, hotelAmenity, season, message, setting, photo, audit, seen, login, outbox };
const schema = {
  ...tables,
  hotelRelations: relations(hotel, ({ one, many }) => ({
    brand: one(brand, { fields: [hotel.brandId], references: [brand.id] }),
    region: one(region, { fields: [hotel.regionId], references: [region.id] }),
    rooms: many(room),
    reviews: many(review),
  })),
  roomRelations: relations(room, ({ one, many }) => ({
    hotel: one(hotel, { fields: [room.hotelId], references: [hotel.id] }),
    kind: one(roomKind, { fields: [room.kindId], references: [roomKind.id] }),
    bookings: many(booking),
  })),
  bookingRelations: relations(booking, ({ one, many }) => ({
    room: one(room, { fields: [booking.roomId], references: [room.id] }),
    guest: one(guest, { fields: [booking.guestId], references: [guest.id] }),
    extras: many(extra),
    payments: many(payment),
  })),
  extraRelations: relations(extra, ({ one }) => ({
    booking: one(booking, { fields: [extra.bookingId], references: [booking.id] }),
    item: one(item, { fields: [extra.itemId], references: [item.id] }),
  })),
  paymentRelations: relations(payment, ({ one }) => ({ booking: one(booking, { fields: [payment.bookingId], references: [booking.id] }) })),
  reviewRelations: relations(review, ({ one }) => ({
    hotel: one(hotel, { fields: [review.hotelId], references: [hotel.id] }),
    guest: one(guest, { fields: [review.guestId], references: [guest.id] }),
  })),
};

// A request's id goes into each of its statements.
const named = (query) => {
  const now = request.getStore();
  const comment = now && ` /*request_id='${now.id}',route='${encodeURIComponent(now.route)}'*/`;
  const text = (one) => (comment && !one.includes("/*request_id=") ? one.replace(/;?\s*$/, "") + comment : one);
  return typeof query === "string" ? text(query) : query && query.text && !query.submit ? { ...query, text: text(query.text) } : query;
};
for (const kind of [pg.Pool, pg.Client]) {
  const send = kind.prototype.query;
  kind.prototype.query = function (query, ...rest) {
    return send.call(this, named(query), ...rest);
  };
}
const pool = new pg.Pool({ host: "127.0.0.1", port: Number(port), user: "postgres", database: "shop", max: 5 });
const db = drizzle({ client: pool, schema, casing: "snake_case" });

function random(seed) {
  let state = (seed ^ 0x9e3779b9) >>> 0 || 1;
  const next = () => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 4294967296;
  };
  for (let i = 0; i < 8; i += 1) next();
  return { some: (last) => 1 + Math.floor(next() * last), pick: (list) => list[Math.floor(next() * list.length)], next };
}

async function fill() {
  for (const table of Object.values(tables)) {
    const config = getTableConfig(table);
    const columns = config.columns.map((c) => `"${snake(c.name)}" ${c.getSQLType()}${c.primary ? " PRIMARY KEY" : ""}`);
    await pool.query(`CREATE TABLE "${config.name}" (${columns.join(", ")})`);
    for (const c of config.columns) if (/(Id|Code|Email|token|login|^code|^email)$/.test(c.name)) await pool.query(`CREATE INDEX ON "${config.name}" ("${snake(c.name)}")`);
  }
  const r = random(4242);
  const when = (days) => new Date(START + r.some(days * 24 * 60) * 60e3);
  const span = (from, to, days, long) => { const one = when(days); return { [from]: one, [to]: new Date(+one + r.some(long) * HOUR) }; };
  const make = async (table, many, row) => {
    const rows = Array.from({ length: many }, (_, i) => row(i));
    for (let i = 0; i < many; i += 400) await db.insert(table).values(rows.slice(i, i + 400));
  };
  await make(brand, 6, (i) => ({ name: `Brand ${i}`, currency: CURRENCIES[i] }));
  await make(region, 70, (i) => ({ name: `Region ${i}`, parentId: i < 3 ? null : r.some(Math.min(i, 16)) }));
  await make(hotel, 160, (i) => ({ brandId: r.some(6), regionId: r.some(70), managerId: r.some(200), name: `Hotel ${r.some(9999)}`, city: `City ${i % 23}`, stars: r.some(5) }));
  await make(roomKind, 60, (i) => ({ name: `Kind ${i}`, beds: r.some(4), cents: r.some(30000) }));
  await make(room, 1300, (i) => ({ hotelId: 1 + (i % 160), kindId: r.some(60), number: 100 + i, floor: r.some(9) }));
  await make(guest, 600, (i) => ({ name: `Guest ${r.some(9999)}`, email: `g${i}@example.com`, country: r.pick(CURRENCIES).slice(0, 2), referrerId: i < 10 ? null : r.some(i) }));
  await make(loyalty, 300, (i) => ({ guestId: 2 * i + 1, tier: r.pick(["tin", "iron", "gold"]), points: r.some(5000) }));
  await make(booking, 4000, () => ({ roomId: r.some(1300), guestId: r.some(600), agencyCode: `AG${r.some(70)}`, state: r.pick(STATES), ...span("arrives", "leaves", 120, 200), cents: r.some(90000) }));
  await make(agency, 70, (i) => ({ code: `AG${i + 1}`, name: `Agency ${i}`, percent: r.some(20) }));
  await make(item, 50, (i) => ({ name: `Item ${i}`, cents: r.some(3000) }));
  await make(extra, 7000, () => ({ bookingId: r.some(4000), itemId: r.some(50), many: r.some(4) }));
  await make(payment, 5000, () => ({ bookingId: r.some(4000), method: r.pick(METHODS), currency: r.pick(CURRENCIES), cents: r.some(90000), day: r.some(60) }));
  await make(fx, 360, (i) => ({ currency: CURRENCIES[i % 6], day: 1 + Math.floor(i / 6), rate: r.some(3000) }));
  await make(review, 3000, () => ({ hotelId: r.some(160), guestId: r.some(600), stars: r.some(5), body: "quiet, clean; \"good\" breakfast" }));
  await make(reply, 1500, (i) => ({ reviewId: 2 * i + 1, employeeId: r.some(200), body: "thank you" }));
  await make(employee, 200, (i) => ({ hotelId: r.some(160), leadId: i < 5 ? null : r.some(Math.min(i, 60)), name: `Employee ${r.some(9999)}`, login: `e${i}` }));
  await make(duty, 3000, () => ({ employeeId: r.some(200), ...span("starts", "ends", 120, 9) }));
  await make(cleaning, 6000, () => ({ roomId: r.some(1300), employeeId: r.some(200), at: when(120), state: r.pick(["due", "done", "late"]) }));
  await make(amenity, 40, (i) => ({ name: `amenity ${i}` }));
  await make(hotelAmenity, 900, (i) => ({ hotelId: 1 + (i % 160), amenityId: r.some(40) }));
  await make(season, 480, (i) => ({ kindId: 1 + (i % 60), starts: new Date(START + Math.floor(i / 60) * 15 * DAY), ends: new Date(START + (Math.floor(i / 60) + 1) * 15 * DAY), cents: r.some(40000) }));
  await make(message, 3000, () => ({ bookingId: r.some(4000), fromEmail: `g${r.some(599)}@example.com`, body: "late arrival?", at: when(120) }));
  await make(setting, 240, (i) => ({ brandId: 1 + (i % 6), name: `s${Math.floor(i / 6)}`, value: `v${i}` }));
  await make(photo, 2500, () => ({ ownerKind: r.pick(["hotel", "room", "review"]), ownerId: r.some(160), file: `f${r.some(99999)}.jpg` }));
  await make(audit, 3000, () => ({ subjectKind: r.pick(["booking", "guest", "room"]), subjectId: r.some(600), employeeId: r.some(200), action: r.pick(["edit", "view"]), at: when(120) }));
  await make(seen, 6000, () => ({ hotelId: r.some(160), at: when(120) }));
  await make(login, 100, (i) => ({ token: `k${i}`, employeeId: r.some(200) }));
  await make(outbox, 900, () => ({ state: "new", bookingId: r.some(4000), tries: 0 }));
  await pool.query("ANALYZE");
}

const first = async (query) => (await query.limit(1))[0];
const few = (size) => Math.max(3, Math.ceil(size / 4));
const different = (rows, key) => new Set(rows.map((row) => row[key])).size;
const someBookings = (q, r, size) => q.select().from(booking).where(and(ne(booking.state, "dropped"), gt(booking.id, r.some(3000)))).orderBy(asc(booking.id)).limit(size);
const someHotels = (q, r, size) => q.select().from(hotel).orderBy(asc(hotel.name), asc(hotel.id)).limit(size).offset(r.some(100));
const someGuests = (q, r, size) => q.select().from(guest).where(gt(guest.id, r.some(500))).orderBy(asc(guest.name)).limit(size);
const someRooms = (q, r, size) => q.select().from(room).where(gte(room.floor, r.some(5))).orderBy(asc(room.hotelId), asc(room.number)).limit(size).offset(r.some(300));
const someReviews = (q, r, size) => q.query.review.findMany({ where: gt(review.id, r.some(2500)), orderBy: [desc(review.stars), asc(review.id)], limit: size });
const somePayments = (q, r, size) => q.select().from(payment).where(eq(payment.method, r.pick(METHODS))).orderBy(desc(payment.id)).limit(size).offset(r.some(300));
const someStaff = (q, r, size) => q.select().from(employee).where(isNotNull(employee.leadId)).orderBy(asc(employee.name)).limit(size).offset(r.some(120));

const types = buildSchema(`
  type Kind { name: String }
  type Room { number: Int kind: Kind }
  type Hotel { name: String rooms: [Room] stars: Float }
  type Loyalty { tier: String points: Int }
  type Guest { name: String loyalty: Loyalty }
  type Booking { state: String guest: Guest }
  type Query { hotels(size: Int, from: Int): [Hotel] bookings(size: Int, from: Int): [Booking] }
`);
async function asked(q, source, loaders, calls) {
  const call = (table, work) => {
    calls[table] = (calls[table] || 0) + 1;
    return work();
  };
  const roomOf = (row) => ({ number: row.number, kind: () => call("room_kind", () => loaders.kind(row.kindId)) });
  const hotelOf = (row) => ({ name: row.name, rooms: async () => (await call("room", () => loaders.rooms(row.id))).map(roomOf) });
  const guestOf = (row) => row && { name: row.name, loyalty: () => call("loyalty", () => loaders.loyalty(row.id)) };
  const bookingOf = (row) => ({ state: row.state, guest: async () => guestOf(await call("guest", () => loaders.guest(row.guestId))) });
  const rootValue = {
    hotels: async ({ size, from }) => (await q.select().from(hotel).orderBy(asc(hotel.name), asc(hotel.id)).limit(size).offset(from)).map(hotelOf),
    bookings: async ({ size, from }) => (await q.select().from(booking).where(gt(booking.id, from)).orderBy(asc(booking.id)).limit(size)).map(bookingOf),
  };
  const out = await graphql({ schema: types, source, rootValue });
  if (out.errors) throw out.errors[0];
}
const lazily = (q) => ({
  kind: (key) => first(q.select().from(roomKind).where(eq(roomKind.id, key))),
  rooms: (key) => q.select().from(room).where(eq(room.hotelId, key)).orderBy(asc(room.number)).limit(4),
  guest: (key) => q.query.guest.findFirst({ where: eq(guest.id, key) }),
  loyalty: async (key) => (await q.query.loyalty.findFirst({ where: eq(loyalty.guestId, key) })) || null,
});
const batched = (q) => {
  const by = (table, column, many) => new DataLoader(async (keys) => {
    const rows = await q.select().from(table).where(inArray(table[column], [...keys]));
    return keys.map((key) => { const mine = rows.filter((row) => row[column] === key); return many ? mine : mine[0] || null; });
  });
  const loaders = { kind: by(roomKind, "id"), rooms: by(room, "hotelId", true), guest: by(guest, "id"), loyalty: by(loyalty, "guestId") };
  return Object.fromEntries(Object.entries(loaders).map(([name, loader]) => [name, (key) => loader.load(key)]));
};

// A page: its label (parent>child of each N+1, or none), why, and the work of a request, which returns the tables that it asked
// once for each row of something, and how often.
const pages = {};
const page = (route, label, why, work) => { pages[route] = { label, why, work }; };

page("GET /bookings", "booking>guest", "the name of the guest is looked up for each booking of the list", async (q, r, size) => {
  const rows = await someBookings(q, r, size);
  for (const row of rows) row.guest = await q.query.guest.findFirst({ where: eq(guest.id, row.guestId) });
  return { guest: rows.length };
});
page("GET /bookings/where", "booking>room, room>hotel", "two to-one steps for each booking: its room, then the hotel of that room", async (q, r, size) => {
  const rows = await someBookings(q, r, size);
  for (const row of rows) {
    const at = await first(q.select().from(room).where(eq(room.id, row.roomId)));
    row.hotel = await first(q.select({ name: hotel.name, city: hotel.city }).from(hotel).where(eq(hotel.id, at.hotelId)));
  }
  return { room: rows.length, hotel: rows.length };
});
page("GET /hotels", "hotel>room", "the number of rooms is counted for each hotel of the list", async (q, r, size) => {
  const rows = await someHotels(q, r, size);
  for (const row of rows) row.rooms = await q.$count(room, eq(room.hotelId, row.id));
  return { room: rows.length };
});
page("GET /hotels/stars", "hotel>review", "an average of the reviews for each hotel, in place of one GROUP BY", async (q, r, size) => {
  const rows = await someHotels(q, r, size);
  for (const row of rows) [row.score] = await q.select({ stars: avg(review.stars), many: count() }).from(review).where(eq(review.hotelId, row.id));
  return { review: rows.length };
});
page("GET /hotels/amenities", "hotel>hotel_amenity", "the amenities of each hotel, over the link table", async (q, r, size) => {
  const rows = await someHotels(q, r, size);
  for (const row of rows)
    row.amenities = await q.select({ name: amenity.name }).from(hotelAmenity).innerJoin(amenity, eq(amenity.id, hotelAmenity.amenityId)).where(eq(hotelAmenity.hotelId, row.id));
  return { hotel_amenity: rows.length };
});
page("GET /guests", "guest>booking", "the latest booking of each guest, by ORDER BY and LIMIT 1", async (q, r, size) => {
  const rows = await someGuests(q, r, size);
  for (const row of rows) row.last = await first(q.select().from(booking).where(eq(booking.guestId, row.id)).orderBy(desc(booking.arrives)));
  return { booking: rows.length };
});
page("GET /api/reviews", "review>guest, review>reply", "the serializer of a review asks for its guest and its reply", async (q, r, size) => {
  const json = async (row) => ({
    stars: row.stars,
    by: (await q.query.guest.findFirst({ columns: { name: true, country: true }, where: eq(guest.id, row.guestId) })).name,
    reply: (await q.query.reply.findFirst({ where: eq(reply.reviewId, row.id) })) || null,
  });
  const out = [];
  for (const row of await someReviews(q, r, size)) out.push(await json(row));
  return { guest: out.length, reply: out.length };
});
page("POST /graphql hotels", "hotel>room, room>room_kind", "resolvers without a loader: rooms for each hotel, the kind for each room", async (q, r, size) => {
  const calls = {};
  await asked(q, `{ hotels(size: ${few(size)}, from: ${r.some(100)}) { name rooms { number kind { name } } } }`, lazily(q), calls);
  return calls;
});
page("POST /graphql bookings", "booking>guest, guest>loyalty", "resolvers without a loader, all at once: the guest of each booking, the loyalty of each guest", async (q, r, size) => {
  const calls = {};
  await asked(q, `{ bookings(size: ${size}, from: ${r.some(3000)}) { state guest { name loyalty { tier points } } } }`, lazily(q), calls);
  return calls;
});
page("GET /staff", "employee>employee", "the template prints the name of each one's lead, which is a row of the same table", async (q, r, size) => {
  const rows = await someStaff(q, r, size);
  for (const row of rows) row.lead = (await first(q.select({ name: employee.name }).from(employee).where(eq(employee.id, row.leadId)))).name;
  return { employee: rows.length };
});
page("GET /regions", "region>region", "a tree is walked down with a query for the children of each node", async (q) => {
  let calls = 0;
  const below = async (one) => {
    calls += 1;
    for (const child of await q.select().from(region).where(eq(region.parentId, one)).orderBy(asc(region.name))) if (child.id > one) await below(child.id);
  };
  for (const root of await q.select().from(region).where(isNull(region.parentId))) await below(root.id);
  return { region: calls };
});
page("GET /audit", "audit>booking, audit>guest, audit>room", "each line of the audit names a row of one of three tables, which is fetched", async (q, r, size) => {
  const rows = await q.select().from(audit).orderBy(desc(audit.at)).limit(size).offset(r.some(900));
  const calls = { booking: 0, guest: 0, room: 0 };
  for (const row of rows) {
    const table = { booking, guest, room }[row.subjectKind];
    calls[row.subjectKind] += 1;
    row.subject = await first(q.select().from(table).where(eq(table.id, row.subjectId)));
  }
  return calls;
});
page("GET /hotels/photos", "hotel>photo", "photos by kind and id of their owner, for each hotel", async (q, r, size) => {
  const rows = await someHotels(q, r, size);
  for (const row of rows) row.photos = await q.select().from(photo).where(and(eq(photo.ownerKind, "hotel"), eq(photo.ownerId, row.id))).limit(6);
  return { photo: rows.length };
});
page("GET /rooms/price", "room>season", "the price of the season is looked up for each room by its kind, on the same day", async (q, r, size) => {
  const rows = await someRooms(q, r, size);
  const day = new Date(START + r.some(110) * DAY);
  for (const row of rows) row.price = await first(q.select().from(season).where(and(eq(season.kindId, row.kindId), lte(season.starts, day), gt(season.ends, day))));
  return { season: rows.length };
});
page("GET /payments", "payment>fx", "the rate of the currency of the day, by two columns of each payment", async (q, r, size) => {
  const rows = await somePayments(q, r, size);
  for (const row of rows) row.rate = await q.query.fx.findFirst({ where: and(eq(fx.currency, row.currency), eq(fx.day, row.day)) });
  return { fx: rows.length };
});
page("GET /commissions", "booking>agency", "the agency is looked up by its code, a natural key, for each booking", async (q, r, size) => {
  const rows = await someBookings(q, r, size);
  for (const row of rows) row.agency = await q.query.agency.findFirst({ where: eq(agency.code, row.agencyCode) });
  return { agency: rows.length };
});
page("GET /inbox", "message>guest", "who wrote is found by the e-mail address of each message", async (q, r, size) => {
  const rows = await q.select().from(message).orderBy(desc(message.at), desc(message.id)).limit(size).offset(r.some(500));
  for (const row of rows) row.who = await first(q.select({ id: guest.id, name: guest.name }).from(guest).where(eq(guest.email, row.fromEmail)));
  return { guest: rows.length };
});
page("GET /rooms/free", "room>booking", "for each room, whether a booking overlaps the time that was asked for", async (q, r, size) => {
  const rows = await someRooms(q, r, size);
  const from = new Date(START + r.some(100) * DAY);
  const to = new Date(+from + 3 * DAY);
  for (const row of rows) row.taken = await q.$count(booking, and(eq(booking.roomId, row.id), lt(booking.arrives, to), gt(booking.leaves, from)));
  return { booking: rows.length };
});
page("GET /stays/staff", "booking>duty", "who was on duty while each guest stayed: only the times of the row go in, no key", async (q, r, size) => {
  const rows = await someBookings(q, r, size);
  for (const row of rows) row.staff = await q.select({ id: duty.employeeId }).from(duty).where(and(lt(duty.starts, row.leaves), gt(duty.ends, row.arrives))).limit(10);
  return { duty: rows.length };
});
page("JOB invoices", "booking>extra, extra>item", "for each booking its extras, for each extra its item", async (q, r, size) => {
  const rows = await someBookings(q, r, few(size));
  let lines = 0;
  for (const row of rows)
    for (const line of await q.select().from(extra).where(eq(extra.bookingId, row.id))) {
      line.item = await first(q.select().from(item).where(eq(item.id, line.itemId)));
      lines += 1;
    }
  return { extra: rows.length, item: lines };
});
page("JOB settle", "booking>payment", "what was paid is summed for each booking, which is then written", async (q, r, size) => {
  const rows = await q.select().from(booking).where(eq(booking.state, "inside")).orderBy(asc(booking.leaves), asc(booking.id)).limit(size).offset(r.some(200));
  for (const row of rows) {
    const [paid] = await q.select({ cents: sum(payment.cents) }).from(payment).where(eq(payment.bookingId, row.id));
    await q.update(booking).set({ cents: Number(paid.cents || 0) }).where(eq(booking.id, row.id));
  }
  return { payment: rows.length };
});
page("GET /export/reviews.csv", "review>hotel", "the export reads pages of ten and asks for the hotel of each line", async (q, r) => {
  let last = r.some(2500), calls = 0;
  for (let part = 0; part < 3; part += 1) {
    const rows = await q.select().from(review).where(gt(review.id, last)).orderBy(asc(review.id)).limit(10);
    for (const row of rows) row.hotel = await q.query.hotel.findFirst({ columns: { name: true }, where: eq(hotel.id, row.hotelId) });
    calls += rows.length;
    if (rows.length) last = rows[rows.length - 1].id;
  }
  return { hotel: calls };
});
page("GET /rooms", "room>room_kind", "a cache of the request alone: each kind is asked once, yet one by one", async (q, r, size) => {
  const known = new Map();
  for (const row of await someRooms(q, r, size))
    if (!known.has(row.kindId)) known.set(row.kindId, await first(q.select().from(roomKind).where(eq(roomKind.id, row.kindId))));
  return { room_kind: known.size };
});
const expiring = new Map();
page("GET /kinds/cached", "room>room_kind", "a cache of the process that forgets after 60 reads: what is missing is asked one by one, so it is one where five or more are missing", async (q, r, size) => {
  let calls = 0;
  for (const row of await q.select().from(room).where(gt(room.id, r.some(1200))).limit(size)) {
    const known = expiring.get(row.kindId);
    if (known && known.left > 0) {
      known.left -= 1;
      continue;
    }
    expiring.set(row.kindId, { left: 60, row: null });
    calls += 1;
    await q.query.roomKind.findFirst({ where: eq(roomKind.id, row.kindId) });
  }
  return { room_kind: calls };
});
page("GET /board", "room>booking", "all at once (Promise.all) the bookings of each room in the week", async (q, r, size) => {
  const from = new Date(START + r.some(100) * DAY);
  const rows = await someRooms(q, r, size);
  await Promise.all(rows.map((row) => q.select({ id: booking.id, state: booking.state }).from(booking)
    .where(and(eq(booking.roomId, row.id), gte(booking.arrives, from), lt(booking.arrives, new Date(+from + 7 * DAY)))).orderBy(asc(booking.arrives))));
  return { booking: rows.length };
});
page("JOB outbox", "outbox>booking, booking>guest", "a list of what is to be sent is read, then booking and guest of each", async (q, r, size) => {
  const rows = await q.select().from(outbox).where(and(eq(outbox.state, "new"), lt(outbox.tries, 9))).orderBy(asc(outbox.id)).limit(size).offset(r.some(300));
  for (const row of rows) {
    const one = await q.query.booking.findFirst({ where: eq(booking.id, row.bookingId) });
    await q.query.guest.findFirst({ columns: { email: true }, where: eq(guest.id, one.guestId) });
    await q.update(outbox).set({ tries: row.tries + 1 }).where(eq(outbox.id, row.id));
  }
  return { booking: rows.length, guest: rows.length };
});
page("JOB points", "guest>loyalty", "a card is looked for, for each guest of a list, then changed or made", async (q, r, size) => {
  const rows = await someGuests(q, r, size);
  for (const row of rows) {
    const card = await first(q.select().from(loyalty).where(eq(loyalty.guestId, row.id)));
    if (card) await q.update(loyalty).set({ points: card.points + 5 }).where(eq(loyalty.id, card.id));
    else await q.insert(loyalty).values({ guestId: row.id, tier: "tin", points: 5 });
  }
  return { loyalty: rows.length };
});
page("GET /search", "hotel>hotel", "the search yields ids only; each hit is then read by its id, with joins", async (q, r, size) => {
  const hits = (await q.execute(sql`SELECT id FROM hotel WHERE stars >= ${r.some(3)} AND city LIKE ${"City " + r.some(2) + "%"} ORDER BY stars DESC, id LIMIT ${size}`)).rows;
  for (const hit of hits)
    hit.row = await first(q.select().from(hotel).leftJoin(brand, eq(brand.id, hotel.brandId)).leftJoin(region, eq(region.id, hotel.regionId)).where(eq(hotel.id, hit.id)));
  return { hotel: hits.length };
});
page("GET /payments/of", "payment>booking", "a finder for many ids is called with one id at a time", async (q, r, size) => {
  const rows = await somePayments(q, r, size);
  for (const row of rows) [row.booking] = await q.select().from(booking).where(inArray(booking.id, [row.bookingId]));
  return { booking: rows.length };
});
page("GET /cards", "hotel>hotel", "each card loads its hotel again, with rooms and brand, in one large statement", async (q, r, size) => {
  const rows = await q.select({ id: hotel.id }).from(hotel).where(eq(hotel.brandId, r.some(6))).orderBy(desc(hotel.stars), asc(hotel.id)).limit(size);
  for (const row of rows) await q.query.hotel.findFirst({ where: eq(hotel.id, row.id), with: { brand: true, rooms: { limit: 3, orderBy: [asc(room.number)] } } });
  return { hotel: rows.length };
});
page("GET /roster", "employee>duty", "the duties of the week for each employee", async (q, r, size) => {
  const rows = await someStaff(q, r, size);
  const from = new Date(START + r.some(100) * DAY);
  for (const row of rows) row.week = await q.select().from(duty).where(and(eq(duty.employeeId, row.id), gte(duty.starts, from), lt(duty.starts, new Date(+from + 7 * DAY))));
  return { duty: rows.length };
});
page("GET /verified", "review>booking", "whether each reviewer ever stayed in that hotel: both keys come from the row, over a join", async (q, r, size) => {
  const rows = await someReviews(q, r, size);
  for (const row of rows)
    row.stayed = (await q.select({ id: booking.id }).from(booking).innerJoin(room, eq(room.id, booking.roomId)).where(and(eq(booking.guestId, row.guestId), eq(room.hotelId, row.hotelId))).limit(1)).length > 0;
  return { booking: rows.length };
});
page("GET /cleaning", "room>cleaning", "the latest cleaning of each room", async (q, r, size) => {
  const rows = await someRooms(q, r, size);
  for (const row of rows) row.last = await q.query.cleaning.findFirst({ where: eq(cleaning.roomId, row.id), orderBy: [desc(cleaning.at)] });
  return { cleaning: rows.length };
});
page("GET /brands", "brand>hotel, hotel>employee", "the hotels of each brand, and for each hotel a count of its staff", async (q) => {
  const brands = await q.select().from(brand).orderBy(asc(brand.name));
  let hotels = 0;
  for (const one of brands)
    for (const place of await q.select().from(hotel).where(eq(hotel.brandId, one.id)).orderBy(desc(hotel.stars), asc(hotel.id)).limit(4)) {
      place.staff = await q.$count(employee, eq(employee.hotelId, place.id));
      hotels += 1;
    }
  return { hotel: brands.length, employee: hotels };
});
page("GET /top/agencies", "booking>agency", "a GROUP BY yields codes and sums; the name of each code is looked up", async (q, r) => {
  const from = new Date(START + r.some(60) * DAY);
  const rows = await q.select({ code: booking.agencyCode, cents: sum(booking.cents) }).from(booking).where(gte(booking.arrives, from)).groupBy(booking.agencyCode).orderBy(desc(sum(booking.cents))).limit(10);
  for (const row of rows) row.name = (await first(q.select({ name: agency.name }).from(agency).where(eq(agency.code, row.code)))).name;
  return { agency: rows.length };
});

page("GET /", "", "one relational query with everything nested in it", async (q, r, size) => {
  await q.query.hotel.findMany({ with: { brand: true, rooms: { with: { kind: true }, limit: 5 } }, orderBy: [asc(hotel.name)], limit: size, offset: r.some(100) });
});
page("GET /bookings/joined", "", "joins in the list", async (q, r, size) => {
  await q.select().from(booking).innerJoin(guest, eq(guest.id, booking.guestId)).innerJoin(room, eq(room.id, booking.roomId)).leftJoin(agency, eq(agency.code, booking.agencyCode)).where(gt(booking.id, r.some(3000))).limit(size);
  await q.$count(booking);
});
page("GET /bookings/gathered", "", "one IN list for each table", async (q, r, size) => {
  const rows = await someBookings(q, r, size);
  await q.select().from(guest).where(inArray(guest.id, [...new Set(rows.map((row) => row.guestId))]));
  await q.select().from(extra).where(inArray(extra.bookingId, rows.map((row) => row.id)));
  await q.select().from(agency).where(inArray(agency.code, [...new Set(rows.map((row) => row.agencyCode))]));
});
page("POST /graphql hotels loaded", "", "the same resolvers over data loaders: one statement for each level", async (q, r, size) => {
  await asked(q, `{ hotels(size: ${size}, from: ${r.some(100)}) { name rooms { number kind { name } } } }`, batched(q), {});
});
page("POST /graphql bookings loaded", "", "the same resolvers over data loaders", async (q, r, size) => {
  await asked(q, `{ bookings(size: ${size}, from: ${r.some(3000)}) { state guest { name loyalty { tier points } } } }`, batched(q), {});
});
page("GET /dashboard", "", "a count of each of eight tables", async (q) => {
  for (const table of [hotel, room, guest, booking, payment, review, cleaning, outbox]) await q.$count(table);
});
page("GET /states", "", "a constant list of states, one count each", async (q, r, size) => {
  await someHotels(q, r, size);
  for (const state of STATES) await q.$count(booking, eq(booking.state, state));
});
page("GET /boards/states", "", "a board with a column for each state of a constant list, the newest five in each", async (q) => {
  await Promise.all(STATES.map((state) => q.select().from(booking).where(eq(booking.state, state)).orderBy(desc(booking.arrives)).limit(5)));
});
page("GET /export/bookings.csv", "", "pages by key, nothing asked for a row", async (q, r) => {
  let last = r.some(3000);
  for (let part = 0; part < 5 + r.some(4); part += 1) {
    const rows = await q.query.booking.findMany({ where: gt(booking.id, last), orderBy: [asc(booking.id)], limit: 20, with: { guest: { columns: { name: true } } } });
    if (!rows.length) break;
    last = rows[rows.length - 1].id;
  }
});
page("GET /guests/pages", "", "pages by offset, with the count each time", async (q, r) => {
  for (let part = 0; part < 5 + r.some(3); part += 1) {
    await q.$count(guest);
    await q.select().from(guest).orderBy(asc(guest.name), asc(guest.id)).limit(10).offset(10 * part);
  }
});
page("GET /outbox/wait", "", "the same row is polled until it changes", async (q, r) => {
  const one = r.some(900);
  for (let i = 0; i < 5 + r.some(7); i += 1) await q.query.outbox.findFirst({ where: eq(outbox.id, one) });
});
page("GET /bookings/chunks", "", "IN lists of ten ids each", async (q, r, size) => {
  const rows = await someBookings(q, r, 4 * size);
  for (let i = 0; i < rows.length; i += 10) await q.select().from(payment).where(inArray(payment.bookingId, rows.slice(i, i + 10).map((row) => row.id)));
});
page("GET /brand/settings", "", "settings of one tenant by a constant list of names", async (q, r, size) => {
  const mine = r.some(6);
  await someRooms(q, r, size);
  for (const name of ["s1", "s4", "s9", "s16", "s25", "s36"]) await q.query.setting.findFirst({ where: and(eq(setting.brandId, mine), eq(setting.name, name)) });
});
page("POST /quote", "", "the numbers of the items come with the request, there is no list to join with", async (q, r, size) => {
  await q.select().from(roomKind).orderBy(asc(roomKind.name)).limit(10);
  for (let i = 0; i < size; i += 1) await first(q.select().from(item).where(eq(item.id, r.some(60))));
});
page("GET /booking", "", "a detail page: many different queries for one booking", async (q, r) => {
  const one = await q.query.booking.findFirst({ where: eq(booking.id, r.some(4000)) });
  const at = await first(q.select().from(room).where(eq(room.id, one.roomId)));
  await first(q.select().from(hotel).where(eq(hotel.id, at.hotelId)));
  await first(q.select().from(guest).where(eq(guest.id, one.guestId)));
  await first(q.select().from(roomKind).where(eq(roomKind.id, at.kindId)));
  await q.select().from(extra).innerJoin(item, eq(item.id, extra.itemId)).where(eq(extra.bookingId, one.id));
  await q.select().from(payment).where(eq(payment.bookingId, one.id));
  await q.select().from(message).where(eq(message.bookingId, one.id)).orderBy(asc(message.at));
  await q.select().from(audit).where(and(eq(audit.subjectKind, "booking"), eq(audit.subjectId, one.id)));
});
page("POST /seen", "", "single INSERTs in a loop: writes, nothing is read for a row", async (q, r, size) => {
  for (let i = 0; i < size; i += 1) await q.insert(seen).values({ hotelId: r.some(160), at: new Date(START) });
});
page("POST /cleaning/plan", "", "one INSERT of many rows and one UPDATE by IN", async (q, r, size) => {
  const rows = await someRooms(q, r, size);
  await q.insert(cleaning).values(rows.map((row) => ({ roomId: row.id, employeeId: r.some(200), at: new Date(START), state: "due" })));
  await q.update(cleaning).set({ state: "late" }).where(and(inArray(cleaning.roomId, rows.map((row) => row.id)), eq(cleaning.state, "due")));
});
page("JOB tries", "", "an UPDATE for each row of a list: writes alone", async (q, r, size) => {
  for (const row of await q.select().from(outbox).orderBy(asc(outbox.id)).limit(size).offset(r.some(500))) await q.update(outbox).set({ tries: sql`${outbox.tries} + 1` }).where(eq(outbox.id, row.id));
});
page("POST /room/change", "", "the same booking is read and written until nobody else was faster", async (q, r) => {
  const one = r.some(4000);
  for (let i = 0; i < 5 + r.some(3); i += 1) {
    const row = await first(q.select().from(booking).where(eq(booking.id, one)));
    await q.update(booking).set({ roomId: r.some(1300) }).where(and(eq(booking.id, one), eq(booking.roomId, row.roomId)));
  }
});
page("JOB worker", "", "a queue: claim one, read its booking, write; each claim depends on the one before, there is no list", async (q, r) => {
  for (let i = 0; i < 5 + r.some(4); i += 1) {
    const task = await first(q.select().from(outbox).where(eq(outbox.state, "new")).orderBy(asc(outbox.id)).for("update", { skipLocked: true }));
    if (!task) break;
    await q.query.booking.findFirst({ where: eq(booking.id, task.bookingId) });
    await q.update(outbox).set({ state: "sent" }).where(eq(outbox.id, task.id));
  }
});
page("GET /mine", "", "the rights of the one who is logged in are read again for each row: the same value always, no row's", async (q, r, size) => {
  const me = r.some(200);
  for (const row of await someBookings(q, r, size)) row.may = (await q.query.employee.findFirst({ columns: { hotelId: true }, where: eq(employee.id, me) })).hotelId > 0;
});
page("GET /newest", "", "three rows only", async (q, r) => {
  for (const row of await someReviews(q, r, 3)) row.hotel = await q.query.hotel.findFirst({ where: eq(hotel.id, row.hotelId) });
});
page("GET /compare", "", "four hotels at most, three tables each", async (q, r) => {
  for (const one of await q.select().from(hotel).where(inArray(hotel.id, [r.some(160), r.some(160), r.some(160), r.some(160)]))) {
    await q.$count(room, eq(room.hotelId, one.id));
    await q.select({ stars: avg(review.stars) }).from(review).where(eq(review.hotelId, one.id));
    await q.select().from(photo).where(and(eq(photo.ownerKind, "hotel"), eq(photo.ownerId, one.id))).limit(1);
  }
});
page("GET /week", "", "a count for each day of a week: the days are reckoned, not read", async (q, r, size) => {
  await someRooms(q, r, size);
  const from = START + r.some(100) * DAY;
  for (let i = 0; i < 7; i += 1) await q.$count(booking, and(gte(booking.arrives, new Date(from + i * DAY)), lt(booking.arrives, new Date(from + (i + 1) * DAY))));
});
page("GET /months", "", "sums for each of the months up to now", async (q, r) => {
  const place = r.some(160);
  for (let i = 0; i < 12; i += 1)
    await q.select({ many: count(), cents: sum(booking.cents) }).from(booking).innerJoin(room, eq(room.id, booking.roomId)).where(and(eq(room.hotelId, place), gte(booking.arrives, new Date(START + i * 10 * DAY)), lt(booking.arrives, new Date(START + (i + 1) * 10 * DAY))));
});
page("GET /featured", "", "a constant list of hotels in the code", async (q, r, size) => {
  await q.select().from(amenity).orderBy(asc(amenity.name)).limit(size);
  for (const one of [11, 23, 58, 91, 130, 144]) await q.query.hotel.findFirst({ where: eq(hotel.id, one) });
});
page("GET /report/brands", "", "a constant list of brands in the code; three statements for each", async (q) => {
  for (const one of [1, 2, 3, 4, 5, 6]) {
    await q.select({ many: count() }).from(hotel).where(eq(hotel.brandId, one));
    await q.select({ stars: avg(review.stars) }).from(review).innerJoin(hotel, eq(hotel.id, review.hotelId)).where(eq(hotel.brandId, one));
    await q.select({ last: max(seen.at) }).from(seen).innerJoin(hotel, eq(hotel.id, seen.hotelId)).where(eq(hotel.brandId, one));
  }
});
page("GET /sums", "", "aggregates by GROUP BY", async (q) => {
  await q.select({ state: booking.state, many: count(), cents: sum(booking.cents) }).from(booking).groupBy(booking.state);
  await q.select({ method: payment.method, cents: sum(payment.cents) }).from(payment).groupBy(payment.method);
  await q.select({ hotel: review.hotelId, stars: avg(review.stars) }).from(review).groupBy(review.hotelId).having(gt(count(), 15));
});
page("GET /latest/each", "", "the three latest bookings of each guest by one LATERAL join", async (q, r, size) => {
  await q.execute(sql`SELECT g.id, g.name, b.id AS booking, b.state FROM guest g CROSS JOIN LATERAL (SELECT * FROM booking WHERE guest_id = g.id ORDER BY arrives DESC LIMIT 3) b WHERE g.id > ${r.some(500)} ORDER BY g.id LIMIT ${3 * size}`);
});
page("GET /search/facets", "", "the same filter counted by several columns", async (q, r, size) => {
  const here = like(hotel.city, `City ${r.some(2)}%`);
  await q.select().from(hotel).where(here).limit(size);
  for (const column of [hotel.stars, hotel.brandId, hotel.regionId, hotel.city, hotel.managerId]) await q.select({ by: column, many: count() }).from(hotel).where(here).groupBy(column);
});
page("GET /complete", "", "what is typed, letter after letter", async (q, r) => {
  const word = `Guest ${1000 + r.some(8000)}`;
  for (let i = 5; i <= word.length; i += 1) await q.select({ id: guest.id, name: guest.name }).from(guest).where(like(guest.name, word.slice(0, i) + "%")).limit(8);
});
page("POST /import/guests", "", "lines of a file; each address is checked for being new, then inserted", async (q, r, size) => {
  for (let i = 0; i < size; i += 1) {
    const email = `new${r.some(1e8)}@example.com`;
    if (!(await first(q.select({ id: guest.id }).from(guest).where(eq(guest.email, email))))) await q.insert(guest).values({ name: "New", email, country: "CH" });
  }
});
page("GET /room/nights", "", "one room, a question for each night of a stay", async (q, r) => {
  const one = r.some(1300);
  const from = START + r.some(90) * DAY;
  for (let i = 0; i < 5 + r.some(9); i += 1) await q.$count(booking, and(eq(booking.roomId, one), lte(booking.arrives, new Date(from + i * DAY)), gt(booking.leaves, new Date(from + i * DAY))));
});
page("GET /lottery", "", "guests are drawn by chance until three are members", async (q, r) => {
  for (let tries = 0, found = 0; tries < 14 && found < 3; tries += 1) if (await first(q.select().from(guest).where(eq(guest.id, r.some(600)))).then((one) => one && one.id % 5 === 0)) found += 1;
});
page("GET /region/path", "", "up from a region to its root: four steps at most", async (q, r) => {
  let at = await first(q.select().from(region).where(eq(region.id, 20 + r.some(40))));
  for (let i = 0; i < 3 && at && at.parentId; i += 1) at = await first(q.select().from(region).where(eq(region.id, at.parentId)));
});
page("POST /rates", "", "an upsert for each night in one statement each: writes", async (q, r) => {
  const kind = r.some(60);
  for (let i = 0; i < 7; i += 1) await q.insert(season).values({ kindId: kind, starts: new Date(START + i * DAY), ends: new Date(START + (i + 1) * DAY), cents: r.some(9000) }).onConflictDoNothing();
});
const warm = new Map();
page("GET /agencies/cached", "", "the whole table is read into the cache of the process at once; rows are then found there", async (q, r, size) => {
  if (!warm.size) for (const one of await q.select().from(agency)) warm.set(one.code, one);
  for (const row of await someBookings(q, r, size)) row.agency = warm.get(row.agencyCode);
});

const PUBLIC = new Set(["JOB invoices", "JOB settle", "JOB outbox", "JOB points", "JOB tries", "JOB worker", "GET /regions", "GET /brands", "GET /boards/states", "GET /complete", "GET /top/agencies"]);

async function serve([many, seed, mode, file]) {
  const draw = random(Number(seed));
  const jobs = Array.from({ length: Number(many) }, (_, i) => ({ id: `${seed}-${i}`, number: i, route: draw.pick(Object.keys(pages)) }));
  const truth = [];
  const work = async (job, q) => {
    const r = random(6007 * Number(seed) + 31 * job.number);
    if (!PUBLIC.has(job.route)) {
      const mine = await first(q.select().from(login).where(eq(login.token, `k${r.some(99)}`)));
      await q.query.employee.findFirst({ where: eq(employee.id, mine.employeeId) });
    }
    return pages[job.route].work(q, r, r.pick(SIZES));
  };
  const loop = async () => {
    for (let job = jobs.shift(); job; job = jobs.shift()) {
      const now = job;
      const start = Date.now() / 1000;
      const calls = (await request.run(now, () => (mode === "transaction" ? db.transaction((q) => work(now, q)) : work(now, db)))) || {};
      const labelled = pages[now.route].label.split(", ").map((one) => one.split(">")[1]);
      for (const table of Object.keys(calls)) if (!labelled.includes(table)) throw new Error(`${now.route} does not do what its label says: ${table}`);
      const found = Object.keys(calls).filter((table) => calls[table] >= LEAST).sort();
      truth.push({ route: now.route, start, end: Date.now() / 1000, session: "", unit: null, request: now.id, n_plus_one: found });
      await new Promise((done) => setTimeout(done, 2 + 6 * draw.next()));
    }
  };
  await Promise.all(Array.from({ length: 6 }, loop));
  fs.writeFileSync(file, truth.map((line) => JSON.stringify(line) + "\n").join(""));
}

function labels() {
  console.log(["page", "parent>child of each N+1", "why"].join("\t"));
  for (const [route, { label, why }] of Object.entries(pages)) console.log([route, label || "none", why].join("\t"));
}

const done = { fill, labels: async () => labels(), serve: () => serve(process.argv.slice(4)) }[verb];
done().then(() => pool.end(), (error) => {
  console.error(error);
  process.exit(1);
});
