// Corpus "festival": the application. Sequelize 6, a pool of five connections, six requests at a time.
//   node festival_sequelize.js fill  CLIENT PORT
//   node festival_sequelize.js serve CLIENT PORT COUNT SEED transaction|autocommit TRUTH
"use strict";
const { AsyncLocalStorage } = require("async_hooks");
const fs = require("fs");
const { Sequelize, DataTypes, Op, QueryTypes, col, fn } = require("sequelize");

const [, , verb, dialect, port] = process.argv;
const SIZES = [5, 8, 12, 20, 30];
const ZONES = ["floor", "balcony", "box", "stand", "camp", "vip"];
const STATES = ["held", "paid", "sent", "scanned", "refunded", "void"];
const LANGUAGES = ["cs", "de", "en", "fr", "it", "pl"];
const START = Date.UTC(2026, 5, 1);
const HOUR = 3600e3;
const request = new AsyncLocalStorage();

const db = new Sequelize("shop", dialect === "postgres" ? "postgres" : "root", null, {
  dialect, host: "127.0.0.1", port: Number(port), logging: false, timezone: "+00:00", pool: { max: 5, min: 2 },
  define: { timestamps: false, freezeTableName: true, underscored: true },
});

const int = { type: DataTypes.INTEGER };
const text = (length = 60) => ({ type: DataTypes.STRING(length) });
const time = { type: DataTypes.DATE };
const own = (columns) => Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, { ...column }])); // it writes into them
const model = (name, columns, indexes = []) => db.define(name, own(columns), { indexes: indexes.map((f) => ({ fields: [].concat(f) })) });

const Login = model("login", { token: text(40), visitorId: int }, ["token"]);
const Option = model("option", { name: text(40), value: text() }, ["name"]);
const Venue = model("venue", { name: text(), city: text(30) });
const Stage = model("stage", { name: text(), venueId: int }, ["venue_id"]);
const Artist = model("artist", { name: text(), country: text(2), managerId: int });
const Biography = model("biography", { artistId: int, language: text(2), body: text(200) }, ["artist_id"]);
const Genre = model("genre", { label: text(30), parentId: int }, ["parent_id"]);
const Show = model("show", { title: text(), stageId: int, headlinerId: int, posterCode: text(12), starts: time, ends: time }, ["stage_id", "starts"]);
const Visitor = model("visitor", { name: text(), email: text(60), city: text(30) }, ["email"]);
const Order = model("order", { visitorId: int, buyerEmail: text(60), voucherCode: text(12), state: text(12), placed: time }, ["visitor_id", "state"]);
const Ticket = model("ticket", { orderId: int, showId: int, zone: text(10), seat: int, state: text(10), cents: int }, ["order_id", "show_id"]);
const Voucher = model("voucher", { code: text(12), percent: int, uses: int }, ["code"]);
const Price = model("price", { showId: int, zone: text(10), cents: int }, [["show_id", "zone"]]);
const Remark = model("remark", { onKind: text(10), onId: int, visitorId: int, body: text(120) }, ["on_id"]);
const Rating = model("rating", { showId: int, visitorId: int, stars: int }, ["show_id", "visitor_id"]);
const Poster = model("poster", { code: text(12), file: text(60) }, ["code"]);
const Volunteer = model("volunteer", { name: text(), reportsTo: int, badge: text(12) }, ["reports_to", "badge"]);
const Shift = model("shift", { volunteerId: int, stageId: int, starts: time, ends: time }, ["volunteer_id", ["stage_id", "starts"]]);
const Scan = model("scan", { ticketId: int, gate: int, at: time }, ["ticket_id", ["gate", "at"]]);
const Seller = model("seller", { name: text(), venueId: int });
const Sale = model("sale", { sellerId: int, item: text(20), cents: int, at: time }, [["seller_id", "at"]]);
const Tally = model("tally", { showId: int, day: { type: DataTypes.DATEONLY }, visitors: int }, [["show_id", "day"]]);
const Task = model("task", { state: text(12), ticketId: int, tries: int }, ["state"]);

Stage.belongsTo(Venue);
Venue.hasMany(Stage);
Venue.hasMany(Seller);
Stage.hasMany(Show);
Show.belongsTo(Stage);
Show.belongsTo(Artist, { as: "headliner", foreignKey: "headlinerId" });
Artist.hasOne(Biography);
Artist.belongsTo(Artist, { as: "manager", foreignKey: "managerId" });
Artist.belongsToMany(Genre, { through: "artist_genre", timestamps: false });
Genre.belongsToMany(Artist, { through: "artist_genre", timestamps: false });
Genre.hasMany(Genre, { as: "children", foreignKey: "parentId" });
Show.belongsToMany(Artist, { as: "guests", through: "show_guest", timestamps: false });
Show.hasMany(Ticket);
Show.hasMany(Rating);
Order.belongsTo(Visitor);
Order.hasMany(Ticket);
Ticket.belongsTo(Order);
Ticket.belongsTo(Show);
Ticket.hasMany(Scan);
Volunteer.hasMany(Shift);
Volunteer.belongsTo(Volunteer, { as: "chief", foreignKey: "reportsTo" });
Volunteer.hasMany(Volunteer, { as: "reports", foreignKey: "reportsTo" });
Shift.belongsTo(Volunteer);
Seller.hasMany(Sale);
Visitor.hasMany(Order);

function random(seed) {
  let a = seed >>> 0;
  const next = () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return { some: (last) => 1 + Math.floor(next() * last), pick: (list) => list[Math.floor(next() * list.length)], next };
}

async function fill() {
  await db.sync();
  const r = random(99);
  const when = (hours) => new Date(START + r.some(hours * 60) * 60e3);
  const span = (hours, long) => { const starts = when(hours); return { starts, ends: new Date(+starts + r.some(long) * HOUR) }; };
  const make = async (m, count, row) => {
    const rows = Array.from({ length: count }, (_, i) => row(i));
    for (let i = 0; i < count; i += 500) await m.bulkCreate(rows.slice(i, i + 500));
  };
  await make(Login, 90, (i) => ({ token: `t${i}`, visitorId: r.some(300) }));
  await make(Option, 40, (i) => ({ name: `o${i}`, value: `v${i}` }));
  await make(Venue, 25, (i) => ({ name: `Venue ${i}`, city: `City ${i % 9}` }));
  await make(Stage, 90, (i) => ({ name: `Stage ${i}`, venueId: r.some(25) }));
  await make(Artist, 260, (i) => ({ name: `Artist ${r.some(9999)}`, country: r.pick(LANGUAGES), managerId: i < 20 ? null : r.some(20) }));
  await make(Biography, 260, (i) => ({ artistId: i + 1, language: r.pick(LANGUAGES), body: "was born" }));
  await make(Genre, 60, (i) => ({ label: `genre ${i}`, parentId: i < 3 ? null : r.some(Math.min(i, 14)) }));
  await make(Show, 700, (i) => ({ title: `Show ${r.some(9999)}`, stageId: r.some(90), headlinerId: r.some(260), posterCode: `Q${r.some(120)}`, ...span(900, 3) }));
  await make(Visitor, 500, (i) => ({ name: `Visitor ${i}`, email: `v${i}@example.org`, city: `City ${i % 9}` }));
  await make(Order, 1500, () => ({ visitorId: r.some(500), buyerEmail: `v${r.some(499)}@example.org`, voucherCode: `V${r.some(80)}`, state: r.pick(STATES), placed: when(900) }));
  await make(Ticket, 5000, () => ({ orderId: r.some(1500), showId: r.some(700), zone: r.pick(ZONES), seat: r.some(400), state: r.pick(STATES), cents: r.some(9000) }));
  await make(Voucher, 80, (i) => ({ code: `V${i + 1}`, percent: r.some(50), uses: 0 }));
  await make(Price, 4200, (i) => ({ showId: 1 + (i % 700), zone: ZONES[Math.floor(i / 700)], cents: r.some(9000) }));
  await make(Remark, 3000, () => ({ onKind: r.pick(["show", "artist", "venue"]), onId: r.some(260), visitorId: r.some(500), body: "loud" }));
  await make(Rating, 4000, () => ({ showId: r.some(700), visitorId: r.some(500), stars: r.some(5) }));
  await make(Poster, 120, (i) => ({ code: `Q${i + 1}`, file: `q${i}.pdf` }));
  await make(Volunteer, 120, (i) => ({ name: `Volunteer ${i}`, reportsTo: i < 3 ? null : r.some(Math.min(i, 16)), badge: `B${i}` }));
  await make(Shift, 1500, () => ({ volunteerId: r.some(120), stageId: r.some(90), ...span(900, 8) }));
  await make(Scan, 6000, () => ({ ticketId: r.some(5000), gate: r.some(9), at: when(900) }));
  await make(Seller, 80, (i) => ({ name: `Seller ${i}`, venueId: r.some(25) }));
  await make(Sale, 6000, () => ({ sellerId: r.some(80), item: r.pick(["beer", "tea", "soup"]), cents: r.some(2000), at: when(900) }));
  await make(Tally, 900, (i) => ({ showId: 1 + (i % 700), day: new Date(START + (i % 30) * 24 * HOUR), visitors: 0 }));
  await make(Task, 500, () => ({ state: "queued", ticketId: r.some(5000), tries: 0 }));
  const pairs = (count, a, b) => [...new Set(Array.from({ length: count }, () => `(${r.some(a)}, ${r.some(b)})`))].join(", ");
  const q = (name) => (dialect === "postgres" ? `"${name}"` : `\`${name}\``);
  await db.query(`INSERT INTO ${q("artist_genre")} (${q("artist_id")}, ${q("genre_id")}) VALUES ${pairs(700, 260, 60)}`);
  await db.query(`INSERT INTO ${q("show_guest")} (${q("show_id")}, ${q("artist_id")}) VALUES ${pairs(1800, 700, 260)}`);
}

const someShows = (r, n) => Show.findAll({ where: { id: { [Op.gt]: r.some(400) } }, order: [["title", "ASC"]], limit: n });
const someArtists = (r, n) => Artist.findAll({ order: [["name", "ASC"]], offset: r.some(200), limit: n });
const someOrders = (r, n) => Order.findAll({ where: { state: { [Op.ne]: "void" } }, order: [["placed", "DESC"], ["id", "DESC"]], offset: r.some(900), limit: n });
const someTickets = (r, n) => Ticket.findAll({ where: { state: r.pick(STATES) }, order: [["id", "ASC"]], offset: r.some(500), limit: n });

// Each page does a request's work and returns the tables that it asked once for each row of something, and how often.
const positives = {
  async "GET /shows"(r, n) {
    const rows = await someShows(r, n);
    for (const row of rows) row.at = (await row.getStage()).name;
    return { stage: rows.length };
  },
  async "GET /orders"(r, n) {
    const rows = await someOrders(r, n);
    for (const row of rows) row.size = (await row.getTickets()).length;
    return { ticket: rows.length };
  },
  async "GET /lineup"(r, n) {
    const rows = await someShows(r, n);
    for (const row of rows) row.names = (await row.getGuests()).map((one) => one.name);
    return { artist: rows.length };
  },
  async "GET /programme"(r, n) {
    const venues = await Venue.findAll({ order: [["name", "ASC"]], offset: r.some(12), limit: Math.max(3, Math.ceil(n / 4)) });
    let stages = 0;
    for (const venue of venues)
      for (const stage of await venue.getStages()) {
        await stage.getShows({ limit: 5 });
        stages += 1;
      }
    return { stage: venues.length, show: stages };
  },
  async "GET /ratings/count"(r, n) {
    const rows = await someShows(r, n);
    for (const row of rows) row.votes = await row.countRatings();
    return { rating: rows.length };
  },
  async "GET /mine/rated"(r, n) {
    const me = r.some(500);
    const rows = await someShows(r, n);
    for (const row of rows) row.mine = await Rating.findOne({ where: { showId: row.id, visitorId: me } });
    return { rating: rows.length };
  },
  async "GET /artists/genre"(r, n) {
    const rock = await Genre.findByPk(7);
    const rows = await someArtists(r, n);
    for (const row of rows) row.rock = await row.hasGenre(rock);
    return { genre: rows.length };
  },
  async "GET /crew"(r, n) {
    const rows = await Volunteer.findAll({ where: { id: { [Op.gt]: 3 + r.some(80) } }, order: [["name", "ASC"]], limit: n });
    for (const row of rows) row.boss = (await row.getChief()).name;
    return { volunteer: rows.length };
  },
  async "GET /managers"(r, n) {
    const rows = await Artist.findAll({ where: { managerId: { [Op.ne]: null } }, order: [["name", "ASC"]], offset: r.some(150), limit: n });
    for (const row of rows) row.contact = await row.getManager();
    return { artist: rows.length };
  },
  async "GET /genres"() {
    let asked = 0;
    const below = async (genre) => {
      asked += 1;
      for (const child of await genre.getChildren()) if (child.id > genre.id) await below(child);
    };
    for (const root of await Genre.findAll({ where: { parentId: null } })) await below(root);
    return { genre: asked };
  },
  async "GET /chart"(r) {
    let asked = 0;
    const below = async (id) => {
      asked += 1;
      for (const one of await Volunteer.findAll({ where: { reportsTo: id }, order: [["name", "ASC"]] })) if (one.id > id) await below(one.id);
    };
    await below(r.some(2));
    return { volunteer: asked };
  },
  async "GET /remarks"(r, n) {
    const rows = await someArtists(r, n);
    for (const row of rows) row.remarks = await Remark.findAll({ where: { onKind: "artist", onId: row.id } });
    return { remark: rows.length };
  },
  async "GET /remarked"(r, n) {
    const rows = await Remark.findAll({ order: [["id", "DESC"]], offset: r.some(900), limit: n });
    const models = { show: Show, artist: Artist, venue: Venue };
    const asked = { show: 0, artist: 0, venue: 0 };
    for (const row of rows) {
      asked[row.onKind] += 1;
      row.on = await models[row.onKind].findByPk(row.onId);
    }
    return asked;
  },
  async "GET /api/shows"(r, n) {
    const json = async (row) => ({ title: row.title, by: (await row.getHeadliner()).name, stars: await Rating.sum("stars", { where: { showId: row.id } }) });
    const out = [];
    for (const row of await someShows(r, n)) out.push(await json(row));
    return { artist: out.length, rating: out.length };
  },
  async "GET /api/tickets"(r, n) {
    const rows = await someTickets(r, n);
    for (const row of rows) row.who = await (await row.getOrder()).getVisitor();
    return { order: rows.length, visitor: rows.length };
  },
  async "GET /gates"(r, n) {
    const rows = await someTickets(r, n);
    for (const row of rows) row.last = await Scan.findOne({ where: { ticketId: row.id }, order: [["at", "DESC"]] });
    return { scan: rows.length };
  },
  async "GET /prices"(r, n) {
    const rows = await someTickets(r, n);
    await Option.findOne({ where: { name: "o4" } });
    for (const row of rows) row.price = await Price.findOne({ where: { showId: row.showId, zone: row.zone } });
    return { price: rows.length };
  },
  async "GET /cover"(r, n) {
    const rows = await Shift.findAll({ where: { starts: { [Op.gt]: new Date(START + r.some(700) * HOUR) } }, order: [["starts", "ASC"]], limit: n });
    for (const row of rows) row.shows = await Show.findAll({ where: { stageId: row.stageId, starts: { [Op.lt]: row.ends }, ends: { [Op.gt]: row.starts } } });
    return { show: rows.length };
  },
  async "GET /vouchers"(r, n) {
    const rows = await someOrders(r, n);
    for (const row of rows) row.voucher = await Voucher.findOne({ where: { code: row.voucherCode } });
    return { voucher: rows.length };
  },
  async "GET /posters"(r, n) {
    const rows = await someShows(r, n);
    for (const row of rows) row.poster = await Poster.findOne({ attributes: ["file"], where: { code: row.posterCode } });
    return { poster: rows.length };
  },
  async "GET /buyers"(r, n) {
    const rows = await someOrders(r, n);
    for (const row of rows) row.buyer = await Visitor.findOne({ where: { email: row.buyerEmail } });
    return { visitor: rows.length };
  },
  async "GET /biographies"(r, n) {
    const rows = await someArtists(r, n);
    for (const row of rows) row.about = await row.getBiography();
    return { biography: rows.length };
  },
  async "GET /board"(r, n) {
    const rows = await someShows(r, n);
    await Promise.all(rows.map((row) => row.getHeadliner()));
    return { artist: rows.length };
  },
  async "GET /raw"(r, n) {
    const [q, p] = dialect === "postgres" ? ['"', "$1"] : ["`", "?"];
    const rows = await someTickets(r, n);
    for (const row of rows)
      await db.query(`SELECT s.title, v.name AS house FROM ${q}show${q} s JOIN stage g ON g.id = s.stage_id JOIN venue v ON v.id = g.venue_id WHERE s.id = ${p}`, {
        ...(dialect === "postgres" ? { bind: [row.showId] } : { replacements: [row.showId] }), type: QueryTypes.SELECT,
      });
    return { show: rows.length };
  },
  async "GET /earned"(r, n) {
    const rows = await Seller.findAll({ where: { id: { [Op.gt]: r.some(40) } }, order: [["name", "ASC"]], limit: n });
    for (const row of rows) row.by = await Sale.findAll({ attributes: ["item", [fn("SUM", col("cents")), "total"]], where: { sellerId: row.id }, group: ["item"] });
    return { sale: rows.length };
  },
  async "GET /batch/one"(r, n) {
    const rows = await someTickets(r, n);
    for (const row of rows) row.show = (await Show.findAll({ where: { id: [row.showId] } }))[0];
    return { show: rows.length };
  },
  async "GET /houses"(r, n) {
    const known = new Map();
    for (const row of await Stage.findAll({ where: { id: { [Op.gt]: r.some(50) } }, order: [["name", "ASC"]], limit: n }))
      if (!known.has(row.venueId)) known.set(row.venueId, await Venue.findByPk(row.venueId));
    return { venue: known.size };
  },
  async "JOB export"(r) {
    let last = r.some(900), asked = 0;
    for (let page = 0; page < 3; page += 1) {
      const rows = await Order.findAll({ where: { id: { [Op.gt]: last } }, order: [["id", "ASC"]], limit: 8 });
      for (const row of rows) row.who = await row.getVisitor();
      asked += rows.length;
      if (rows.length) last = rows[rows.length - 1].id;
    }
    return { visitor: asked };
  },
  async "JOB tally"(r, n) {
    const rows = await someShows(r, n);
    const day = new Date(START + r.some(30) * 24 * HOUR);
    for (const row of rows) {
      const found = await Tally.findOne({ where: { showId: row.id, day } });
      if (found) await found.update({ visitors: found.visitors + r.some(90) });
      else await Tally.create({ showId: row.id, day, visitors: 1 });
    }
    return { tally: rows.length };
  },
  async "JOB refund"(r, n) {
    const rows = await Order.findAll({ where: { state: "held" }, order: [["placed", "ASC"]], limit: n });
    for (const row of rows) {
      await row.reload(); // as it may have been paid in the meantime
      await row.update({ state: r.pick(STATES.slice(1)) });
    }
    return { order: rows.length };
  },
  async "JOB remind"(r, n) {
    const shows = await someShows(r, Math.max(3, Math.ceil(n / 4)));
    let tickets = 0;
    for (const show of shows)
      for (const ticket of await show.getTickets({ where: { state: "paid" }, limit: 6 })) {
        await Scan.count({ where: { ticketId: ticket.id } });
        tickets += 1;
      }
    return { ticket: shows.length, scan: tickets };
  },
  async "JOB expire"(r, n) {
    const rows = await Order.findAll({ where: { state: "sent" }, order: [["id", "DESC"]], limit: n });
    for (const row of rows) {
      if (await Ticket.count({ where: { orderId: row.id, state: "scanned" } })) continue;
      await Ticket.update({ state: "void" }, { where: { orderId: row.id, state: "held" } });
    }
    return { ticket: rows.length };
  },
};

const cache = new Map();
const negatives = {
  async "GET /joined"(r, n) {
    await Show.findAll({ include: [{ model: Stage, include: [Venue] }, "headliner"], limit: n });
  },
  async "GET /separate"(r, n) {
    await Venue.findAll({ include: [{ model: Stage, separate: true }, { model: Seller, separate: true }], offset: r.some(12), limit: n });
  },
  async "GET /gathered"(r, n) {
    const rows = await someOrders(r, n);
    await Visitor.findAll({ where: { id: rows.map((row) => row.visitorId) } });
    await Ticket.findAll({ where: { orderId: rows.map((row) => row.id) } });
  },
  async "GET /chunks"(r, n) {
    const rows = await someTickets(r, 4 * n);
    for (let i = 0; i < rows.length; i += 10) await Scan.findAll({ where: { ticketId: rows.slice(i, i + 10).map((row) => row.id) } });
  },
  async "GET /options"(r, n) {
    await someShows(r, n);
    for (const i of [1, 2, 5, 8, 13, 21, 34]) await Option.findOne({ where: { name: `o${i}` } });
  },
  async "GET /dashboard"() {
    for (const one of [Show, Order, Ticket, Visitor, Scan, Sale, Rating]) await one.count();
  },
  async "GET /zones"(r, n) {
    const show = r.some(700);
    await someOrders(r, n);
    for (const zone of ZONES) await Ticket.count({ where: { showId: show, zone } });
  },
  async "GET /states"() {
    for (const state of STATES) await Order.findAll({ where: { state }, order: [["placed", "DESC"]], limit: 3 });
  },
  async "GET /feed"(r) {
    let last = r.some(3000);
    for (let page = 0; page < 4 + r.some(5); page += 1) {
      const rows = await Scan.findAll({ where: { id: { [Op.gt]: last } }, order: [["id", "ASC"]], limit: 25 });
      if (!rows.length) break;
      last = rows[rows.length - 1].id;
    }
  },
  async "GET /pages"(r) {
    for (let page = 0; page < 4 + r.some(3); page += 1) await Visitor.findAndCountAll({ order: [["name", "ASC"]], offset: 10 * page, limit: 10 });
  },
  async "GET /wait"(r) {
    const task = r.some(500);
    for (let i = 0; i < 5 + r.some(6); i += 1) await Task.findByPk(task);
  },
  async "JOB send"(r) {
    for (let i = 0; i < 5 + r.some(4); i += 1) {
      const task = await Task.findOne({ where: { state: "queued" }, order: [["id", "ASC"]] });
      if (!task) break;
      await Ticket.findByPk(task.ticketId);
      await task.update({ state: "sent" });
    }
  },
  async "POST /cart"(r, n) {
    await Venue.findAll({ order: [["name", "ASC"]], limit: 10 });
    for (let i = 0; i < n; i += 1) await Ticket.findByPk(r.some(5000)); // the numbers come with the request
  },
  async "POST /redeem"(r, n) {
    await someShows(r, 5);
    for (let i = 0; i < n; i += 1) await Voucher.findOne({ where: { code: `V${r.some(90)}` } }); // so do the codes
  },
  async "POST /badges"(r, n) {
    for (let i = 0; i < n; i += 1) await Volunteer.findOne({ where: { badge: `B${r.some(130)}` } });
  },
  async "GET /rights"(r, n) {
    const me = r.some(500);
    for (const row of await someOrders(r, n)) row.mine = (await Visitor.findByPk(me)).id === row.visitorId;
  },
  async "GET /three"(r) {
    for (const row of await someOrders(r, 3)) await row.getTickets();
  },
  async "POST /import"(r, n) {
    for (let i = 0; i < n; i += 1) await Sale.create({ sellerId: r.some(80), item: "tea", cents: r.some(900), at: new Date(START) });
  },
  async "POST /visitors"(r, n) {
    for (let i = 0; i < n; i += 1) {
      const email = `new${r.some(1e8)}@example.org`;
      if (!(await Visitor.findOne({ where: { email } }))) await Visitor.create({ name: "New", email, city: "City 1" });
    }
  },
  async "POST /bulk"(r, n) {
    const rows = await someTickets(r, n);
    await Scan.bulkCreate(rows.map((row) => ({ ticketId: row.id, gate: 3, at: new Date(START) })));
    await Ticket.update({ state: "scanned" }, { where: { id: rows.map((row) => row.id) } });
  },
  async "POST /count"(r, n) {
    for (const row of await Voucher.findAll({ order: [["id", "ASC"]], offset: r.some(40), limit: n })) await row.increment("uses");
  },
  async "GET /featured"(r, n) {
    await Genre.findAll({ order: [["label", "ASC"]], limit: n });
    for (const artist of [3, 14, 15, 92, 65, 35]) await Artist.findByPk(artist);
  },
  async "GET /cached"(r, n) {
    let missing = 0;
    for (const row of await someShows(r, n))
      if (!cache.has(row.stageId)) {
        cache.set(row.stageId, await Stage.findByPk(row.stageId));
        missing += 1;
      }
    return { stage: missing }; // while the cache is cold it is one
  },
  async "POST /seat"(r) {
    const ticket = r.some(5000);
    for (let tries = 0; tries < 5 + r.some(2); tries += 1) {
      const row = await Ticket.findByPk(ticket);
      await Ticket.update({ seat: r.some(400) }, { where: { id: ticket, seat: row.seat } });
    }
  },
  async "GET /calendar"(r) {
    const day = START + r.some(20) * 24 * HOUR;
    await someArtists(r, 7);
    for (let i = 0; i < 7; i += 1) await Show.count({ where: { starts: { [Op.between]: [new Date(day + i * 24 * HOUR), new Date(day + (i + 1) * 24 * HOUR - 1)] } } });
  },
  async "GET /hours"(r) {
    const gate = r.some(9);
    await someTickets(r, 12);
    for (let i = 8; i < 20; i += 1) await Scan.count({ where: { gate, at: { [Op.between]: [new Date(START + i * HOUR), new Date(START + (i + 1) * HOUR - 1)] } } });
  },
  async "GET /order"(r) {
    const row = await Order.findByPk(r.some(1500));
    await row.getVisitor();
    await row.getTickets();
    await Voucher.findOne({ where: { code: row.voucherCode } });
    await Remark.findAll({ where: { onKind: "venue", onId: 3 }, limit: 5 });
  },
  async "GET /draw"(r) {
    let found = 0;
    for (let tries = 0; tries < 12 && found < 3; tries += 1) if (((await Visitor.findByPk(r.some(500))) || { id: 0 }).id % 4 === 0) found += 1;
  },
  async "POST /save"(r, n) {
    const show = await Show.findByPk(r.some(700));
    for (let i = 0; i < 5 + (n % 4); i += 1) {
      await show.update({ title: `Show ${r.some(9999)}` });
      await show.reload();
    }
  },
  async "GET /counters"(r) {
    const venue = r.some(25);
    await Stage.count({ where: { venueId: venue } });
    await Seller.count({ where: { venueId: venue } });
    await db.query(`SELECT state, count(*) AS many FROM ticket GROUP BY state`, { type: QueryTypes.SELECT });
  },
};
const PUBLIC = new Set(["GET /chart", "GET /states", "JOB send", "JOB remind", "JOB tally", "JOB expire", "GET /wait", "GET /lineup", "GET /feed", "GET /draw"]);

async function serve([count, seed, mode, file]) {
  const send = db.query;
  db.query = function (sql, ...rest) {
    const now = request.getStore();
    if (!now) return send.call(this, sql, ...rest);
    const comment = ` /*request_id='${now.id}',route='${encodeURIComponent(now.route)}'*/`;
    const text = (query) => query.replace(/;?\s*$/, "") + comment;
    return send.call(this, typeof sql === "string" ? text(sql) : { ...sql, query: text(sql.query) }, ...rest);
  };
  const pages = { ...positives, ...negatives };
  const draw = random(Number(seed));
  const jobs = Array.from({ length: Number(count) }, (_, i) => ({ id: `${seed}-${i}`, number: i, route: draw.pick(Object.keys(pages)) }));
  const truth = [];
  const work = async (job, r) => {
    if (!PUBLIC.has(job.route)) {
      const login = await Login.findOne({ where: { token: `t${r.some(89)}` } });
      await Visitor.findByPk(login.visitorId);
    }
    return pages[job.route](r, r.pick(SIZES));
  };
  const loop = async () => {
    for (let job = jobs.shift(); job; job = jobs.shift()) {
      const now = job;
      const r = random(7919 * Number(seed) + now.number);
      const start = Date.now() / 1000;
      const calls = await request.run(now, () => (mode === "transaction" ? db.transaction(() => work(now, r)) : work(now, r)));
      const found = Object.keys(calls || {}).filter((table) => calls[table] >= 5).sort();
      truth.push({ route: now.route, start, end: Date.now() / 1000, session: "", unit: null, request: now.id, n_plus_one: found });
      await new Promise((done) => setTimeout(done, 2 + 6 * draw.next()));
    }
  };
  await Promise.all(Array.from({ length: 6 }, loop));
  fs.writeFileSync(file, truth.map((line) => JSON.stringify(line) + "\n").join(""));
}

// Statements of a request join its transaction without being handed it.
const within = new AsyncLocalStorage();
Sequelize.useCLS({ run: (work) => within.run(new Map(), work), get: (key) => within.getStore()?.get(key), set: (key, value) => within.getStore()?.set(key, value), bind: (work) => work });

(verb === "fill" ? fill() : serve(process.argv.slice(5))).then(() => db.close(), (error) => {
  console.error(error);
  process.exit(1);
});
