// Corpus "helpdesk": the application. TypeORM 1 with lazy relations, a pool of five connections, six requests at a time.
//   node helpdesk_typeorm.js fill  TYPE PORT
//   node helpdesk_typeorm.js serve TYPE PORT COUNT SEED transaction|autocommit TRUTH
"use strict";
require("reflect-metadata");
const { AsyncLocalStorage } = require("async_hooks");
const fs = require("fs");
const { DataSource, EntitySchema, Between, In, LessThan, MoreThan, Not } = require("typeorm");

const [, , verb, type, port] = process.argv;
const SIZES = [5, 8, 12, 20, 30];
const STATUSES = ["new", "open", "waiting", "solved", "closed", "spam"];
const PRIORITIES = ["low", "normal", "high", "urgent"];
const LANGUAGES = ["cs", "de", "en", "fr", "it", "pl", "sv"];
const START = Date.UTC(2026, 2, 1);
const HOUR = 3600e3;
const request = new AsyncLocalStorage();

const id = { type: Number, primary: true, generated: true };
const int = { type: Number, nullable: true };
const text = (length = 60) => ({ type: "varchar", length, nullable: true });
const time = { type: Date, nullable: true };
const one = (target, inverseSide) => ({ type: "many-to-one", target, inverseSide, lazy: true, joinColumn: true, createForeignKeyConstraints: false });
const many = (target, inverseSide) => ({ type: "one-to-many", target, inverseSide, lazy: true });
const schema = (name, columns, relations = {}, indices = []) => new EntitySchema({ name, columns: { id, ...columns }, relations, indices: indices.map((c) => ({ columns: [].concat(c) })) });

const entities = [
  schema("ApiKey", { secret: text(40), agentId: int }, {}, ["secret"]),
  schema("Setting", { name: text(40), value: text() }, {}, ["name"]),
  schema("Company", { name: text(), plan: text(12) }, { customers: many("Customer", "company") }),
  schema("Customer", { name: text(), email: text(), companyId: int }, { company: one("Company", "customers"), tickets: many("Ticket", "customer") }, ["companyId"]),
  schema("Team", { name: text() }, { agents: many("Agent", "team") }),
  schema("Agent", { name: text(), teamId: int, leadId: int }, { team: one("Team", "agents"), lead: { ...one("Agent"), inverseSide: undefined }, shifts: many("Shift", "agent") }, ["teamId"]),
  schema("Shift", { agentId: int, begins: time, ends: time }, { agent: one("Agent", "shifts") }, ["agentId", "begins"]),
  schema("Category", { name: text(), parentId: int }, { parent: one("Category", "children"), children: many("Category", "parent") }, ["parentId"]),
  schema("Ticket", { subject: text(80), status: text(12), priority: text(12), opened: time, customerId: int, agentId: int, categoryId: int, productCode: text(12) }, {
    customer: one("Customer", "tickets"), agent: { ...one("Agent"), inverseSide: undefined }, category: { ...one("Category"), inverseSide: undefined },
    messages: many("Message", "ticket"), tags: { type: "many-to-many", target: "Tag", lazy: true, joinTable: { name: "ticket_tags" } },
  }, ["customerId", "agentId", "status", "opened", "categoryId"]),
  schema("Message", { ticketId: int, authorKind: text(12), authorId: int, sent: time, body: text(120) }, { ticket: one("Ticket", "messages") }, ["ticketId"]),
  schema("Tag", { label: text(20) }),
  schema("Attachment", { ownerKind: text(12), ownerId: int, file: text(80) }, {}, ["ownerId"]),
  schema("Watcher", { ticketId: int, agentId: int }, {}, ["ticketId", "agentId"]),
  schema("Survey", { ticketId: int, stars: int }, {}, ["ticketId"]),
  schema("Sla", { plan: text(12), priority: text(12), minutes: int }, {}, [["plan", "priority"]]),
  schema("Product", { code: text(12), name: text() }, {}, ["code"]),
  schema("Event", { ticketId: int, agentId: int, what: text(20), at: time }, {}, ["ticketId", ["agentId", "at"]]),
  schema("Article", { categoryId: int, language: text(2), title: text(80), views: int }, {}, ["categoryId", "language"]),
  schema("Outbox", { state: text(12), ticketId: int, tries: int }, {}, ["state"]),
];

const source = new DataSource({
  type, host: "127.0.0.1", port: Number(port), username: type === "postgres" ? "postgres" : "root", database: "shop", entities, poolSize: 5,
  ...(type === "postgres" ? {} : { timezone: "Z" }),
});

function random(seed) {
  let state = (seed * 2654435761) >>> 0 || 1;
  const next = () => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 4294967296;
  };
  for (let i = 0; i < 8; i += 1) next();
  return { next, some: (last) => 1 + Math.floor(next() * last), pick: (list) => list[Math.floor(next() * list.length)] };
}

async function fill() {
  await source.synchronize();
  const r = random(2718);
  const when = (last) => new Date(START + r.some(last * 60) * 60e3);
  const rows = {
    ApiKey: [80, (i) => ({ secret: `key${i}`, agentId: r.some(60) })],
    Setting: [40, (i) => ({ name: `s${i}`, value: `v${i}` })],
    Company: [90, (i) => ({ name: `Company ${i}`, plan: r.pick(["free", "team", "firm"]) })],
    Customer: [400, (i) => ({ name: `Customer ${i}`, email: `c${i}@example.com`, companyId: r.some(90) })],
    Team: [14, (i) => ({ name: `Team ${i}` })],
    Agent: [120, (i) => ({ name: `Agent ${i}`, teamId: r.some(14), leadId: i < 5 ? null : r.some(25) })],
    Shift: [1500, () => { const begins = when(1000); return { agentId: r.some(120), begins, ends: new Date(+begins + 8 * HOUR) }; }],
    Category: [60, (i) => ({ name: `Category ${i}`, parentId: i < 3 ? null : r.some(Math.min(i, 12)) })],
    Ticket: [1500, (i) => ({ subject: `It is broken ${i}`, status: r.pick(STATUSES), priority: r.pick(PRIORITIES), opened: when(1000), customerId: r.some(400), agentId: r.some(120), categoryId: r.some(60), productCode: `P${r.some(150)}` })],
    Message: [6000, () => ({ ticketId: r.some(1500), authorKind: r.pick(["customer", "customer", "customer", "agent"]), authorId: r.some(120), sent: when(1000), body: "have you tried" })],
    Tag: [40, (i) => ({ label: `tag ${i}` })],
    Attachment: [2500, (i) => ({ ownerKind: r.pick(["ticket", "article", "message"]), ownerId: r.some(1500), file: `f${i}.png` })],
    Watcher: [2500, () => ({ ticketId: r.some(1500), agentId: r.some(120) })],
    Survey: [1000, () => ({ ticketId: r.some(1500), stars: r.some(5) })],
    Sla: [12, (i) => ({ plan: ["free", "team", "firm"][i % 3], priority: PRIORITIES[Math.floor(i / 3)], minutes: r.some(3000) })],
    Product: [150, (i) => ({ code: `P${i + 1}`, name: `Product ${i}` })],
    Event: [8000, () => ({ ticketId: r.some(1500), agentId: r.some(120), what: r.pick(["seen", "moved", "closed"]), at: when(1000) })],
    Article: [500, (i) => ({ categoryId: r.some(60), language: r.pick(LANGUAGES), title: `How to ${i}`, views: r.some(900) })],
    Outbox: [500, () => ({ state: "queued", ticketId: r.some(1500), tries: 0 })],
  };
  for (const [name, [count, row]] of Object.entries(rows)) {
    const all = Array.from({ length: count }, (_, i) => row(i));
    for (let i = 0; i < count; i += 500) await source.manager.insert(name, all.slice(i, i + 500));
  }
  const q = (name) => source.driver.escape(name);
  const links = new Set(Array.from({ length: 3500 }, () => `(${r.some(1500)}, ${r.some(40)})`));
  await source.query(`INSERT INTO ${q("ticket_tags")} (${q("ticketId")}, ${q("tagId")}) VALUES ${[...links].join(", ")}`);
}

const someTickets = (m, r, n) => m.find("Ticket", { where: { status: Not("spam") }, order: { opened: "DESC", id: "DESC" }, skip: r.some(900), take: n });
const someCustomers = (m, r, n) => m.find("Customer", { where: { companyId: MoreThan(r.some(60)) }, order: { name: "ASC" }, take: n });
const someAgents = (m, r, n) => m.find("Agent", { order: { name: "ASC" }, skip: r.some(60), take: n });

// Each page does a request's work and returns the tables that it asked once for each row of something, and how often.
const positives = {
  async "GET /tickets"(m, r, n) {
    const rows = await someTickets(m, r, n);
    for (const row of rows) row.from = (await row.customer).name;
    return { customer: rows.length };
  },
  async "GET /threads"(m, r, n) {
    const rows = await someTickets(m, r, n);
    for (const row of rows) row.size = (await row.messages).length;
    return { message: rows.length };
  },
  async "GET /tickets/tags"(m, r, n) {
    const rows = await someTickets(m, r, n);
    for (const row of rows) row.labels = (await row.tags).map((tag) => tag.label);
    return { tag: rows.length };
  },
  async "GET /rota"(m, r, n) {
    const teams = await m.find("Team", { order: { name: "ASC" }, take: Math.max(3, Math.ceil(n / 4)) });
    let agents = 0;
    for (const team of teams)
      for (const agent of await team.agents) {
        await agent.shifts;
        agents += 1;
      }
    return { agent: teams.length, shift: agents };
  },
  async "GET /companies/open"(m, r, n) {
    const rows = await someCustomers(m, r, n);
    for (const row of rows) row.open = await m.countBy("Ticket", { customerId: row.id, status: "open" });
    return { ticket: rows.length };
  },
  async "GET /watching"(m, r, n) {
    const me = r.some(120);
    const rows = await someTickets(m, r, n);
    for (const row of rows) row.watched = await m.existsBy("Watcher", { ticketId: row.id, agentId: me });
    return { watcher: rows.length };
  },
  async "GET /leads"(m, r, n) {
    const rows = await someAgents(m, r, n);
    for (const row of rows) row.boss = await row.lead; // asks where there is none, too
    return { agent: rows.length };
  },
  async "GET /categories"(m, r) {
    let asked = 0;
    const below = async (category) => {
      asked += 1;
      for (const child of await category.children) if (child.id > category.id) await below(child);
    };
    for (const root of await m.findBy("Category", { id: In([1, 2, 3]) })) await below(root);
    return { category: asked };
  },
  async "GET /thread"(m, r, n) {
    const messages = await m.find("Message", { where: { ticketId: LessThan(r.some(1500)) }, order: { sent: "DESC" }, take: n });
    let customers = 0, agents = 0;
    for (const message of messages)
      if (message.authorKind === "agent") (agents += 1), await m.findOneBy("Agent", { id: message.authorId });
      else (customers += 1), await m.findOneBy("Customer", { id: message.authorId });
    return { customer: customers, agent: agents };
  },
  async "GET /api/tickets"(m, r, n) {
    const json = async (row) => {
      const customer = await row.customer;
      const company = await customer.company;
      return { id: row.id, subject: row.subject, customer: customer.name, company: company.name };
    };
    const rows = await someTickets(m, r, n);
    const out = [];
    for (const row of rows) out.push(await json(row));
    return { customer: out.length, company: out.length };
  },
  async "GET /tickets/last"(m, r, n) {
    const rows = await someTickets(m, r, n);
    for (const row of rows) row.last = await m.findOne("Message", { where: { ticket: { id: row.id } }, order: { sent: "DESC" } });
    return { message: rows.length };
  },
  async "GET /due"(m, r, n) {
    const rows = await m.find("Ticket", { where: { status: "open" }, relations: { customer: { company: true } }, order: { opened: "ASC" }, skip: r.some(150), take: n });
    await m.findOneBy("Setting", { name: "s2" });
    for (const row of rows) row.sla = await m.findOneBy("Sla", { plan: (await (await row.customer).company).plan, priority: row.priority });
    return { sla: rows.length };
  },
  async "GET /companies/stars"(m, r, n) {
    const rows = await m.find("Company", { order: { name: "ASC" }, skip: r.some(50), take: n });
    for (const row of rows)
      row.stars = await m.createQueryBuilder("Survey", "s").innerJoin("Ticket", "t", "t.id = s.ticketId").innerJoin("t.customer", "c").select("AVG(s.stars)", "stars").where("c.companyId = :company", { company: row.id }).getRawOne();
    return { survey: rows.length };
  },
  async "GET /shifts/work"(m, r, n) {
    const rows = await m.find("Shift", { where: { begins: MoreThan(new Date(START + r.some(800) * HOUR)) }, order: { begins: "ASC" }, take: n });
    for (const row of rows) row.events = await m.findBy("Event", { agentId: row.agentId, at: Between(row.begins, row.ends) });
    return { event: rows.length };
  },
  async "GET /surveys"(m, r, n) {
    const rows = await m.find("Ticket", { where: { status: "solved" }, order: { id: "ASC" }, skip: r.some(150), take: n });
    for (const row of rows) row.survey = await m.findOneBy("Survey", { ticketId: row.id });
    return { survey: rows.length };
  },
  async "GET /products"(m, r, n) {
    const rows = await someTickets(m, r, n);
    for (const row of rows) row.product = await m.findOne("Product", { select: { name: true }, where: { code: row.productCode } });
    return { product: rows.length };
  },
  async "GET /mine"(m, r, n) {
    const watched = await m.find("Watcher", { where: { agentId: r.some(120) }, take: n });
    for (const row of watched) row.ticket = await m.findOne("Ticket", { where: { id: row.ticketId }, relations: { customer: true, category: true } });
    return { ticket: watched.length };
  },
  async "GET /board"(m, r, n) {
    const rows = await someTickets(m, r, n);
    await Promise.all(rows.map((row) => row.agent));
    return { agent: rows.length };
  },
  async "JOB digest"(m, r, n) {
    const agents = await someAgents(m, r, Math.max(3, Math.ceil(n / 4)));
    let tickets = 0;
    for (const agent of agents)
      for (const ticket of await m.find("Ticket", { where: { agentId: agent.id, status: In(["new", "open"]) }, take: 6 })) {
        await m.findOne("Event", { where: { ticketId: ticket.id }, order: { at: "DESC" } });
        tickets += 1;
      }
    return { ticket: agents.length, event: tickets };
  },
  async "JOB close"(m, r, n) {
    const rows = await m.find("Ticket", { where: { status: "waiting" }, order: { opened: "ASC" }, take: n });
    for (const row of rows) {
      row.status = r.pick(STATUSES.slice(1));
      await m.save("Ticket", row); // reads the row again before it writes
    }
    return { ticket: rows.length };
  },
  async "GET /companies/names"(m, r, n) {
    const names = new Map();
    for (const row of await someCustomers(m, r, n))
      if (!names.has(row.companyId)) names.set(row.companyId, await m.findOneBy("Company", { id: row.companyId }));
    return { company: names.size };
  },
  async "GET /export/sql"(m, r, n) {
    const [q, p] = type === "postgres" ? ['"', "$1"] : ["`", "?"];
    const rows = await someTickets(m, r, n);
    for (const row of rows) await m.query(`SELECT a.name, t.name AS team FROM agent a LEFT JOIN team t ON t.id = a.${q}teamId${q} WHERE a.id = ${p}`, [row.agentId]);
    return { agent: rows.length };
  },
  async "GET /files"(m, r, n) {
    const rows = await m.find("Article", { where: { language: r.pick(LANGUAGES) }, order: { views: "DESC" }, take: n });
    for (const row of rows) row.files = await m.find("Attachment", { where: { ownerKind: "article", ownerId: row.id } });
    return { attachment: rows.length };
  },
};

const cache = new Map();
const negatives = {
  async "GET /joined"(m, r, n) {
    await m.find("Ticket", { relations: { customer: true, agent: true }, where: { status: r.pick(STATUSES) }, take: n });
  },
  async "GET /strategy"(m, r, n) {
    await m.find("Ticket", { relations: { customer: true, messages: true, tags: true }, relationLoadStrategy: "query", where: { id: MoreThan(r.some(1400)) }, take: n });
  },
  async "GET /batched"(m, r, n) {
    const rows = await someTickets(m, r, n);
    await m.findBy("Customer", { id: In(rows.map((row) => row.customerId)) });
    await m.findBy("Message", { ticketId: In(rows.map((row) => row.id)) });
  },
  async "GET /chunks"(m, r, n) {
    const rows = await someTickets(m, r, 4 * n);
    for (let i = 0; i < rows.length; i += 10) await m.findBy("Event", { ticketId: In(rows.slice(i, i + 10).map((row) => row.id)) });
  },
  async "GET /config"(m, r, n) {
    await someTickets(m, r, n);
    for (const i of [1, 3, 4, 9, 16, 25, 36]) await m.findOneBy("Setting", { name: `s${i}` });
  },
  async "GET /dashboard"(m) {
    for (const name of ["Ticket", "Customer", "Agent", "Article", "Survey", "Company", "Event"]) await m.count(name);
  },
  async "GET /statuses"(m, r, n) {
    await someTickets(m, r, n);
    for (const status of STATUSES) await m.countBy("Ticket", { status });
  },
  async "GET /languages"(m) {
    await m.find("Category", { order: { name: "ASC" } });
    for (const language of LANGUAGES) await m.find("Article", { where: { language }, order: { views: "DESC" }, take: 3 });
  },
  async "GET /export"(m, r) {
    let last = r.some(4000);
    for (let page = 0; page < 4 + r.some(5); page += 1) {
      const rows = await m.find("Message", { where: { id: MoreThan(last) }, order: { id: "ASC" }, take: 25 });
      if (!rows.length) break;
      last = rows[rows.length - 1].id;
    }
  },
  async "GET /pages"(m, r) {
    for (let page = 0; page < 4 + r.some(3); page += 1) await m.findAndCount("Article", { order: { id: "ASC" }, skip: 10 * page, take: 10 });
  },
  async "GET /wait"(m, r) {
    const mail = r.some(500);
    for (let i = 0; i < 5 + r.some(5); i += 1) await m.findOneBy("Outbox", { id: mail });
  },
  async "JOB send"(m, r) {
    for (let i = 0; i < 5 + r.some(4); i += 1) {
      const mail = await m.findOne("Outbox", { where: { state: "queued" }, order: { id: "ASC" } });
      if (!mail) break;
      await m.findOneBy("Ticket", { id: mail.ticketId });
      await m.update("Outbox", mail.id, { state: "sent" });
    }
  },
  async "POST /merge"(m, r, n) {
    await m.find("Tag", { order: { label: "ASC" } }); // the numbers come with the request
    for (let i = 0; i < n; i += 1) await m.findOneBy("Ticket", { id: r.some(1500) });
  },
  async "GET /permissions"(m, r, n) {
    const me = r.some(80);
    for (const row of await someTickets(m, r, n)) row.mine = row.agentId === (await m.findOneBy("ApiKey", { id: me })).agentId;
  },
  async "GET /three"(m, r) {
    for (const row of await someTickets(m, r, 3)) await row.messages;
  },
  async "POST /import"(m, r, n) {
    for (let i = 0; i < n; i += 1) await m.insert("Message", { ticketId: r.some(1500), authorKind: "agent", authorId: r.some(120), sent: new Date(START), body: "imported" });
  },
  async "POST /bulk"(m, r, n) {
    const rows = await someTickets(m, r, n);
    await m.insert("Event", rows.map((row) => ({ ticketId: row.id, agentId: 3, what: "seen", at: new Date(START) })));
    await m.update("Ticket", { id: In(rows.map((row) => row.id)) }, { priority: "normal" });
  },
  async "POST /tags"(m, r, n) {
    for (let i = 0; i < n; i += 1) {
      const label = `n${r.some(1e8)}`;
      if (!(await m.existsBy("Tag", { label }))) await m.insert("Tag", { label });
    }
  },
  async "POST /views"(m, r, n) {
    for (const row of await m.find("Article", { where: { language: r.pick(LANGUAGES) }, take: n })) await m.increment("Article", { id: row.id }, "views", 1);
  },
  async "GET /featured"(m, r, n) {
    await m.find("Category", { take: n, order: { name: "ASC" } });
    for (const article of [3, 14, 15, 92, 65, 35]) await m.findOneBy("Article", { id: article });
  },
  async "GET /cached"(m, r, n) {
    let missing = 0;
    for (const row of await someTickets(m, r, n))
      if (!cache.has(row.categoryId)) {
        cache.set(row.categoryId, await m.findOneBy("Category", { id: row.categoryId }));
        missing += 1;
      }
    return { category: missing }; // while the cache is cold it is one
  },
  async "POST /claim"(m, r) {
    const ticket = r.some(1500);
    for (let tries = 0; tries < 5 + r.some(2); tries += 1) {
      const row = await m.findOneBy("Ticket", { id: ticket });
      await m.update("Ticket", { id: ticket, agentId: row.agentId }, { agentId: r.some(120) });
    }
  },
  async "GET /history"(m, r) {
    const day = START + r.some(30) * 24 * HOUR;
    await someAgents(m, r, 7);
    for (let i = 0; i < 14; i += 1) await m.countBy("Event", { at: Between(new Date(day + i * 24 * HOUR), new Date(day + (i + 1) * 24 * HOUR - 1)) });
  },
  async "GET /ticket"(m, r) {
    const row = await m.findOneBy("Ticket", { id: r.some(1500) });
    await row.customer;
    await row.messages;
    await row.tags;
    await m.findOneBy("Survey", { ticketId: row.id });
    await m.find("Event", { where: { ticketId: row.id }, order: { at: "DESC" }, take: 5 });
  },
};
const PUBLIC = new Set(["GET /languages", "JOB send", "JOB digest", "JOB close", "GET /wait", "GET /categories", "GET /export"]);

async function serve([count, seed, mode, file]) {
  const runner = source.createQueryRunner();
  const prototype = Object.getPrototypeOf(runner);
  await runner.release();
  const send = prototype.query;
  prototype.query = function (query, ...rest) {
    const now = request.getStore();
    return send.call(this, now ? `${query} /*request_id='${now.id}',route='${encodeURIComponent(now.route)}'*/` : query, ...rest);
  };

  const pages = { ...positives, ...negatives };
  const draw = random(Number(seed));
  const jobs = Array.from({ length: Number(count) }, (_, i) => ({ id: `${seed}-${i}`, number: i, route: draw.pick(Object.keys(pages)) }));
  const truth = [];
  const work = async (m, job, r) => {
    if (!PUBLIC.has(job.route)) {
      const key = await m.findOneBy("ApiKey", { secret: `key${r.some(79)}` });
      await m.findOneBy("Agent", { id: key.agentId });
    }
    return pages[job.route](m, r, r.pick(SIZES));
  };
  const loop = async () => {
    for (let job = jobs.shift(); job; job = jobs.shift()) {
      const now = job;
      const r = random(7919 * Number(seed) + now.number);
      const start = Date.now() / 1000;
      const calls = await request.run(now, () => (mode === "transaction" ? source.transaction((m) => work(m, now, r)) : work(source.manager, now, r)));
      const found = Object.keys(calls || {}).filter((table) => calls[table] >= 5).sort();
      truth.push({ route: now.route, start, end: Date.now() / 1000, session: "", unit: null, request: now.id, n_plus_one: found });
      await new Promise((done) => setTimeout(done, 2 + 6 * draw.next()));
    }
  };
  await Promise.all(Array.from({ length: 6 }, loop));
  fs.writeFileSync(file, truth.map((line) => JSON.stringify(line) + "\n").join(""));
}

source.initialize().then(() => (verb === "fill" ? fill() : serve(process.argv.slice(5)))).then(() => source.destroy(), (error) => {
  console.error(error);
  process.exit(1);
});
