<?php
// Corpus "seedbank": repositories and pages. A page returns how often it asked each table row by row, by construction.
declare(strict_types=1);

use Doctrine\Common\Collections\Criteria;
use Doctrine\DBAL\ArrayParameterType;
use Doctrine\DBAL\LockMode;
use Doctrine\ORM\EntityManager;
use Doctrine\ORM\EntityRepository;
use Doctrine\ORM\Mapping\ClassMetadata;
use Doctrine\ORM\OptimisticLockException;
use Doctrine\ORM\Tools\Pagination\Paginator;

class AccessionRepository extends EntityRepository
{
    /** @return Accession[] the newest, from somewhere on */
    public function newest(int $many): array
    {
        return $this->findBy([], ['received' => 'DESC', 'id' => 'ASC'], $many, mt_rand(0, 40));
    }
}

class LotRepository extends EntityRepository
{
    /** @return Lot[] */
    public function packed(int $many): array
    {
        return $this->createQueryBuilder('l')->where('l.seeds > :few')->setParameter('few', 10)->orderBy('l.id')
            ->setFirstResult(mt_rand(0, 300))->setMaxResults($many)->getQuery()->getResult();
    }

    /** @return Lot[] what may be taken of an accession */
    public function choices(Accession $accession): array
    {
        return $this->createQueryBuilder('l')->where('l.accession = :accession')->andWhere('l.seeds > 0')->orderBy('l.packed')
            ->setParameter('accession', $accession)->getQuery()->getResult();
    }
}

class GerminationRepository extends EntityRepository
{
    /** @return Germination[] */
    public function sown(int $many): array
    {
        return $this->createQueryBuilder('g')->where('g.sprouted >= :least')->setParameter('least', mt_rand(0, 5))
            ->orderBy('g.sown', 'DESC')->setMaxResults($many)->getQuery()->getResult();
    }

    public function average(Accession $accession): ?string
    {
        return $this->getEntityManager()
            ->createQuery('SELECT AVG(g.sprouted * 100 / g.seeds) FROM Germination g JOIN g.lot l WHERE l.accession = :accession')
            ->setParameter('accession', $accession)->getSingleScalarResult();
    }
}

class ExpeditionRepository extends EntityRepository
{
    /** @return Expedition[] */
    public function upcoming(int $many): array
    {
        return $this->findBy([], ['starts' => 'ASC'], $many, mt_rand(0, 30));
    }

    public function closures(Expedition $expedition): int
    {
        return (int) $this->getEntityManager()
            ->createQuery('SELECT COUNT(c.id) FROM Closing c WHERE c.site = :site AND c.starts < :ends AND c.ends > :starts')
            ->setParameters(['site' => $expedition->site, 'starts' => $expedition->starts, 'ends' => $expedition->ends])
            ->getSingleScalarResult();
    }
}

class SeedRequestRepository extends EntityRepository
{
    /** @return SeedRequest[] */
    public function open(int $many): array
    {
        return $this->createQueryBuilder('r')->where('r.state IN (:states)')->setParameter('states', ['new', 'checked'])
            ->orderBy('r.made', 'DESC')->setFirstResult(mt_rand(0, 40))->setMaxResults($many)->getQuery()->getResult();
    }
}

function size(): int
{
    return SIZES[mt_rand(0, count(SIZES) - 1)];
}

/** How many different rows a to-one leads to: the identity map asks for each of them once. */
function different(iterable $rows, callable $of): int
{
    $keys = [];
    foreach ($rows as $row) {
        $keys[$of($row)] = true;
    }
    return count($keys);
}

const SIZES = [5, 8, 12, 20, 30, 45];
const STATES = ['new', 'checked', 'packed', 'sent', 'refused', 'dropped'];
const SETTINGS = ['unit', 'language', 'least_seeds', 'alarm_at', 'label_size', 'contact', 'footer'];

/** What each page prints. */
function shown(mixed ...$values): void
{
    foreach ($values as $value) {
        $GLOBALS['printed'] = ($GLOBALS['printed'] ?? 0) + strlen((string) $value) & 0xffffff;
    }
}

/** Pages that make their own transactions, or need none. */
const OWN = ['job_expire', 'worker', 'poll', 'retry'];

$pages = [];

// ---- with an N+1 --------------------------------------------------------------------------------------------------

$pages['accessions'] = function (EntityManager $em): array {
    $rows = $em->getRepository(Accession::class)->newest(size());
    foreach ($rows as $one) {
        shown($one->number, $one->species->name);
    }
    return ['species' => different($rows, fn ($a) => $a->species->id)];
};

$pages['accessions_origin'] = function (EntityManager $em): array {
    $rows = $em->createQuery('SELECT a FROM Accession a WHERE a.state = :state ORDER BY a.number')
        ->setParameter('state', 'stored')->setFirstResult(mt_rand(0, 60))->setMaxResults(size())->getResult();
    foreach ($rows as $one) {
        shown($one->number, $one->site->name, $one->site->country->name);
    }
    return ['site' => different($rows, fn ($a) => $a->site->id), 'country' => different($rows, fn ($a) => $a->site->country->code)];
};

$pages['accessions_lots'] = function (EntityManager $em): array {
    $rows = $em->getRepository(Accession::class)->newest(min(20, size()));
    $lots = [];
    foreach ($rows as $one) {
        foreach ($one->lots as $lot) {
            shown($lot->barcode, $lot->shelf->code);
            $lots[] = $lot;
        }
    }
    return ['lot' => count($rows), 'shelf' => different($lots, fn ($l) => $l->shelf->id)];
};

$pages['accessions_page'] = function (EntityManager $em): array {
    $query = $em->createQuery('SELECT a, l FROM Accession a LEFT JOIN a.lots l WHERE a.seeds > :few ORDER BY a.id')
        ->setParameter('few', 50)->setFirstResult(10 * mt_rand(0, 6))->setMaxResults(size());
    $page = new Paginator($query, true);
    shown(count($page));
    $rows = iterator_to_array($page);
    foreach ($rows as $one) {
        shown($one->number, $one->collector->name, count($one->lots));
    }
    return ['collector' => different($rows, fn ($a) => $a->collector->id)];
};

$pages['keywords_half'] = function (EntityManager $em): array {
    $rows = $em->createQuery('SELECT a, s, p FROM Accession a JOIN a.species s JOIN a.site p ORDER BY a.received DESC')
        ->setFirstResult(mt_rand(0, 50))->setMaxResults(size())->getResult();
    foreach ($rows as $one) {
        shown($one->species->name, $one->site->name);
        foreach ($one->keywords as $keyword) {
            shown($keyword->word);
        }
    }
    return ['keyword' => count($rows)];
};

$pages['species_counts'] = function (EntityManager $em): array {
    $rows = $em->getRepository(Species::class)->findBy([], ['name' => 'ASC'], size(), mt_rand(0, 30));
    foreach ($rows as $one) {
        shown($one->name, count($one->accessions));
    }
    return ['accession' => count($rows)];
};

$pages['species_names'] = function (EntityManager $em): array {
    $rows = $em->getRepository(Species::class)->findBy(['status' => 'rare'], ['id' => 'ASC'], size());
    foreach ($rows as $one) {
        $names = $one->commonNames->map(fn ($n) => "$n->language $n->name")->toArray();
        sort($names);
        shown(...$names);
    }
    return ['common_name' => count($rows)];
};

$pages['expeditions'] = function (EntityManager $em): array {
    $rows = $em->getRepository(Expedition::class)->upcoming(size());
    foreach ($rows as $one) {
        foreach ($one->members as $member) {
            shown($member->name);
        }
    }
    return ['collector' => count($rows)];
};

$pages['my_expeditions'] = function (EntityManager $em): array {
    $me = $em->find(Collector::class, mt_rand(1, 150));
    $rows = $em->getRepository(Expedition::class)->upcoming(size());
    foreach ($rows as $one) {
        shown($one->name, $one->members->contains($me) ? 'mine' : '');
    }
    return ['expedition_collector' => count($rows)];
};

$pages['clashes'] = function (EntityManager $em): array {
    $repository = $em->getRepository(Expedition::class);
    $rows = $repository->upcoming(size());
    foreach ($rows as $one) {
        shown($one->name, $repository->closures($one));
    }
    return ['closure' => count($rows)];
};

$pages['donors'] = function (EntityManager $em): array {
    $rows = $em->createQuery('SELECT d FROM Donor d ORDER BY d.name')->setFirstResult(mt_rand(0, 30))->setMaxResults(size())->getResult();
    foreach ($rows as $one) {
        shown($one->name);
    }
    return ['agreement' => count($rows)];
};

$pages['alarms'] = function (EntityManager $em): array {
    $rows = $em->createQuery('SELECT a FROM Alarm a WHERE a.level >= :level ORDER BY a.raised DESC')
        ->setParameter('level', mt_rand(1, 3))->setMaxResults(size())->getResult();
    foreach ($rows as $one) {
        shown($one->level, $one->sensor->name);
    }
    return ['sensor' => different($rows, fn ($a) => $a->sensor->id)];
};

$pages['taxa'] = function (EntityManager $em): array {
    $asked = 0;
    $below = function (Taxon $taxon) use (&$below, &$asked): void {
        $asked++;
        foreach ($taxon->children as $child) {
            shown($child->name);
            $below($child);
        }
    };
    foreach ($em->getRepository(Taxon::class)->findBy(['parent' => mt_rand(1, 5)]) as $top) {
        $below($top);
    }
    return ['taxon' => $asked];
};

$pages['history'] = function (EntityManager $em): array {
    $classes = ['accession' => Accession::class, 'lot' => Lot::class, 'species' => Species::class];
    $rows = $em->getRepository(History::class)->findBy([], ['made' => 'DESC'], size(), mt_rand(0, 80));
    $seen = ['accession' => [], 'lot' => [], 'species' => []];
    foreach ($rows as $one) {
        $subject = $em->find($classes[$one->subjectKind], $one->subjectId);
        shown($one->action, $subject->id);
        $seen[$one->subjectKind][$one->subjectId] = true;
    }
    return array_map('count', $seen);
};

$pages['collectors'] = function (EntityManager $em): array {
    $rows = $em->getRepository(Collector::class)->findBy([], ['name' => 'ASC'], size(), mt_rand(0, 60));
    foreach ($rows as $one) {
        shown($one->name, $em->getRepository(Institute::class)->findOneBy(['code' => $one->instituteCode])?->name);
    }
    return ['institute' => count($rows)];
};

$pages['lots_last_test'] = function (EntityManager $em): array {
    $rows = $em->getRepository(Lot::class)->packed(size());
    foreach ($rows as $one) {
        $test = $em->getRepository(Germination::class)->findOneBy(['lot' => $one], ['sown' => 'DESC']);
        shown($one->barcode, $test?->sprouted);
    }
    return ['germination' => count($rows)];
};

$pages['viability'] = function (EntityManager $em): array {
    $rows = $em->getRepository(Accession::class)->newest(size());
    foreach ($rows as $one) {
        shown($one->number, $em->getRepository(Germination::class)->average($one));
    }
    return ['germination' => count($rows)];
};

$pages['readings'] = function (EntityManager $em): array {
    $rows = $em->getRepository(Germination::class)->sown(size());
    $last = Criteria::create()->orderBy(['day' => Criteria::DESC])->setMaxResults(1);
    foreach ($rows as $one) {
        $reading = $one->readings->matching($last)->first();
        shown($one->id, $reading ? $reading->sprouted : '');
    }
    return ['reading' => count($rows)];
};

$pages['rota'] = function (EntityManager $em): array {
    $rows = $em->getRepository(Germination::class)->sown(size());
    $query = $em->createQuery('SELECT d FROM Duty d WHERE d.starts <= :sown AND d.ends > :sown ORDER BY d.starts')->setMaxResults(1);
    foreach ($rows as $one) {
        shown($query->setParameter('sown', $one->sown)->getOneOrNullResult()?->bench);
    }
    return ['duty' => count($rows)];
};

$pages['shelves'] = function (EntityManager $em): array {
    $rows = $em->getRepository(Shelf::class)->findBy([], ['code' => 'ASC'], size(), mt_rand(0, 20));
    foreach ($rows as $one) {
        foreach ($one->temperatures->slice(0, 3) as $temperature) {
            shown($one->code, $temperature->degrees);
        }
    }
    return ['temperature' => count($rows)];
};

$pages['shipments'] = function (EntityManager $em): array {
    $rows = $em->getRepository(Shipment::class)->findBy([], ['sent' => 'DESC'], size(), mt_rand(0, 60));
    foreach ($rows as $one) {
        $rule = $em->find(ImportRule::class, ['countryCode' => $one->countryCode, 'taxonId' => $one->taxonId]);
        shown($one->id, $rule->papers);
    }
    return ['import_rule' => different($rows, fn ($s) => "$s->countryCode $s->taxonId")];
};

$pages['api_requests'] = function (EntityManager $em): array {
    $rows = $em->getRepository(SeedRequest::class)->open(size());
    $normalized = array_map(fn (SeedRequest $r) => [
        'made' => $r->made->format('c'),
        'requester' => ['name' => $r->requester->name, 'institute' => $r->requester->institute->name],
        'items' => $r->items->map(fn ($i) => ['accession' => $i->accession->id, 'seeds' => $i->seeds])->toArray(),
    ], $rows);
    shown(json_encode($normalized));
    return ['requester' => different($rows, fn ($r) => $r->requester->id), 'request_item' => count($rows),
        'institute' => different($rows, fn ($r) => $r->requester->institute->id)];
};

$pages['request_form'] = function (EntityManager $em): array {
    $rows = $em->createQuery('SELECT i FROM RequestItem i WHERE i.seeds > :few ORDER BY i.id')->setParameter('few', 5)
        ->setFirstResult(mt_rand(0, 200))->setMaxResults(size())->getResult();
    foreach ($rows as $one) {
        foreach ($em->getRepository(Lot::class)->choices($one->accession) as $lot) {
            shown($lot->barcode);
        }
    }
    return ['lot' => count($rows)];
};

$pages['export_items'] = function (EntityManager $em): array {
    $query = $em->createQuery('SELECT i FROM RequestItem i WHERE i.id > :after ORDER BY i.id')->setParameter('after', mt_rand(0, 400))
        ->setMaxResults(size());
    $calls = ['accession' => 0, 'species' => 0];
    $seen = ['accession' => [], 'species' => []];
    $line = 0;
    foreach ($query->toIterable() as $one) {
        shown($one->seeds, $one->accession->number, $one->accession->species->name);
        $seen['accession'][$one->accession->id] = $seen['species'][$one->accession->species->id] = true;
        if (++$line % 10 === 0) {
            $em->clear();
            foreach ($calls as $table => $count) {
                $calls[$table] += count($seen[$table]);
                $seen[$table] = [];
            }
        }
    }
    return ['accession' => $calls['accession'] + count($seen['accession']), 'species' => $calls['species'] + count($seen['species'])];
};

$pages['resolve_species'] = function (EntityManager $em): array {
    $rows = $em->getRepository(Species::class)->findBy([], ['id' => 'ASC'], size(), mt_rand(0, 60));
    shown(...array_map(fn ($s) => $s->taxon->name, $rows));
    shown(...array_map(fn ($s) => $em->getRepository(Accession::class)->findOneBy(['species' => $s], ['received' => 'DESC'])?->number, $rows));
    return ['taxon' => different($rows, fn ($s) => $s->taxon->id), 'accession' => count($rows)];
};

$pages['technicians'] = function (EntityManager $em): array {
    static $names = [];
    $rows = $em->getRepository(Germination::class)->sown(size());
    $misses = 0;
    foreach ($rows as $one) {
        $id = $one->technician->id;
        if (!isset($names[$id])) {
            $names = count($names) >= 40 ? [] : $names;
            $names[$id] = $em->find(Staff::class, $id)->name;
            $misses++;
        }
        shown($names[$id]);
    }
    return ['staff' => $misses];
};

$pages['job_notices'] = function (EntityManager $em): array {
    $rows = $em->getRepository(Notice::class)->findBy(['state' => 'held'], ['id' => 'ASC'], size(), mt_rand(0, 60));
    foreach ($rows as $one) {
        shown($one->seedRequest->made->format('c'), $one->seedRequest->requester->email);
        $one->state = 'waiting';
    }
    $calls = ['seed_request' => different($rows, fn ($n) => $n->seedRequest->id),
        'requester' => different($rows, fn ($n) => $n->seedRequest->requester->id)];
    $em->flush();
    return $calls;
};

$pages['job_expire'] = function (EntityManager $em): array {
    $rows = $em->getRepository(SeedRequest::class)->findBy(['state' => 'packed'], ['made' => 'ASC'], min(12, size()), mt_rand(0, 80));
    foreach ($rows as $one) {
        $em->wrapInTransaction(function () use ($one): void {
            foreach ($one->items as $item) {
                shown($item->seeds);
            }
            $one->state = 'dropped';
        });
    }
    return ['request_item' => count($rows)];
};

$pages['lots_refresh'] = function (EntityManager $em): array {
    $rows = $em->getRepository(Lot::class)->packed(size());
    foreach ($rows as $one) {
        $em->refresh($one);
        $one->seeds -= 1;
    }
    $em->flush();
    return ['lot' => count($rows)];
};

$pages['report_raw'] = function (EntityManager $em): array {
    $db = $em->getConnection();
    $rows = $db->fetchAllAssociative('SELECT code, name FROM institute ORDER BY name LIMIT ' . size());
    foreach ($rows as $one) {
        shown($one['name'], $db->fetchOne('SELECT COUNT(*) FROM collector WHERE institute_code = ?', [$one['code']]));
    }
    return ['collector' => count($rows)];
};

// ---- without ------------------------------------------------------------------------------------------------------

$pages['accessions_joined'] = function (EntityManager $em): array {
    $rows = $em->createQuery('SELECT a, s, p, c FROM Accession a JOIN a.species s JOIN a.site p JOIN p.country c ORDER BY a.received DESC')
        ->setFirstResult(mt_rand(0, 60))->setMaxResults(size())->getResult();
    foreach ($rows as $one) {
        shown($one->species->name, $one->site->name, $one->site->country->name);
    }
    return [];
};

$pages['species_fetched'] = function (EntityManager $em): array {
    $from = mt_rand(0, 60);
    $rows = $em->createQuery('SELECT s, n FROM Species s LEFT JOIN s.commonNames n WHERE s.id BETWEEN :first AND :last')
        ->setParameters(['first' => $from, 'last' => $from + size()])->getResult();
    foreach ($rows as $one) {
        shown($one->name, ...$one->commonNames->map(fn ($n) => $n->name));
    }
    return [];
};

$pages['accessions_steps'] = function (EntityManager $em): array {
    $ids = $em->createQuery('SELECT a.id FROM Accession a ORDER BY a.received DESC')->setFirstResult(mt_rand(0, 60))->setMaxResults(size())
        ->getSingleColumnResult();
    $rows = $em->createQuery('SELECT a, l FROM Accession a LEFT JOIN a.lots l WHERE a.id IN (:ids)')->setParameter('ids', $ids)->getResult();
    $em->createQuery('SELECT PARTIAL a.{id}, k FROM Accession a LEFT JOIN a.keywords k WHERE a.id IN (:ids)')->setParameter('ids', $ids)->getResult();
    foreach ($rows as $one) {
        shown(count($one->lots), count($one->keywords));
    }
    return [];
};

$pages['counts_grouped'] = function (EntityManager $em): array {
    $rows = $em->getRepository(Species::class)->findBy([], ['name' => 'ASC'], size());
    $counts = $em->createQuery('SELECT IDENTITY(a.species) AS species, COUNT(a.id) AS many FROM Accession a WHERE a.species IN (:rows) GROUP BY a.species')
        ->setParameter('rows', $rows)->getResult();
    shown(...array_column($counts, 'many'));
    return [];
};

$pages['collectors_batch'] = function (EntityManager $em): array {
    $rows = $em->createQuery('SELECT r FROM Requester r ORDER BY r.name')->setFetchMode(Requester::class, 'institute', ClassMetadata::FETCH_EAGER)
        ->setFirstResult(mt_rand(0, 60))->setMaxResults(size())->getResult();
    foreach ($rows as $one) {
        shown($one->name, $one->institute->name);
    }
    return [];
};

$pages['page_joined'] = function (EntityManager $em): array {
    $query = $em->createQuery('SELECT a, l, h, c FROM Accession a JOIN a.collector c LEFT JOIN a.lots l LEFT JOIN l.shelf h ORDER BY a.id')
        ->setFirstResult(10 * mt_rand(0, 6))->setMaxResults(size());
    $page = new Paginator($query, true);
    shown(count($page));
    foreach ($page as $one) {
        shown($one->collector->name, ...$one->lots->map(fn ($l) => $l->shelf->code));
    }
    return [];
};

$pages['dashboard'] = function (EntityManager $em): array {
    foreach ([Accession::class, Species::class, Lot::class, Germination::class, SeedRequest::class, Shipment::class, Donor::class] as $class) {
        shown($em->getRepository($class)->count([]));
    }
    shown($em->createQuery('SELECT MAX(a.raised) FROM Alarm a')->getSingleScalarResult());
    shown($em->createQuery('SELECT AVG(t.degrees) FROM Temperature t')->getSingleScalarResult());
    return [];
};

$pages['board'] = function (EntityManager $em): array {
    $notices = $em->getRepository(Notice::class)->findBy(['queue' => mt_rand(1, 10)], ['id' => 'DESC'], size());
    shown(...array_map(fn ($n) => $n->state, $notices));
    foreach (STATES as $state) {
        foreach ($em->getRepository(SeedRequest::class)->findBy(['state' => $state], ['made' => 'DESC'], 3) as $one) {
            shown($one->made->format('c'));
        }
    }
    return [];
};

$pages['settings'] = function (EntityManager $em): array {
    $vault = $em->find(Vault::class, mt_rand(1, 8));
    foreach (SETTINGS as $name) {
        shown($em->getRepository(Setting::class)->findOneBy(['vault' => $vault, 'name' => $name])?->value);
    }
    return [];
};

$pages['detail'] = function (EntityManager $em): array {
    $one = $em->getRepository(Accession::class)->findOneBy(['number' => 'AC' . mt_rand(1, 700)]);
    shown($one->species->name, $one->species->taxon->name, $one->site->name, $one->site->country->name, $one->collector->name);
    shown($one->expedition?->name, count($one->lots), ...$one->keywords->map(fn ($k) => $k->word));
    shown($em->getRepository(RequestItem::class)->count(['accession' => $one]), $em->getRepository(Germination::class)->average($one));
    return [];
};

$pages['export_keyset'] = function (EntityManager $em): array {
    $last = mt_rand(0, 100);
    for ($step = mt_rand(5, 9); $step > 0; $step--) {
        $rows = $em->createQuery('SELECT i FROM RequestItem i WHERE i.id > :last ORDER BY i.id')->setParameter('last', $last)
            ->setMaxResults(20)->getResult();
        foreach ($rows as $one) {
            shown($one->seeds);
            $last = $one->id;
        }
        $em->clear();
    }
    return [];
};

$pages['export_joined'] = function (EntityManager $em): array {
    $query = $em->createQuery('SELECT i, a, s FROM RequestItem i JOIN i.accession a JOIN a.species s WHERE i.id > :after ORDER BY i.id')
        ->setParameter('after', mt_rand(0, 400))->setMaxResults(size());
    $line = 0;
    foreach ($query->toIterable() as $one) {
        shown($one->seeds, $one->accession->number, $one->accession->species->name);
        if (++$line % 10 === 0) {
            $em->clear();
        }
    }
    return [];
};

$pages['import_chunks'] = function (EntityManager $em): array {
    $numbers = array_map(fn () => 'AC' . mt_rand(1, 720), range(1, 15 * mt_rand(3, 8)));
    foreach (array_chunk($numbers, 15) as $chunk) {
        foreach ($em->getRepository(Accession::class)->findBy(['number' => $chunk]) as $one) {
            shown($one->seeds);
        }
        $em->clear();
    }
    return [];
};

$pages['import_collectors'] = function (EntityManager $em): array {
    for ($line = size(); $line > 0; $line--) {
        $email = mt_rand(0, 1) ? sprintf('c%d@example.org', mt_rand(1, 150)) : sprintf('n%d.%d@example.org', getmypid(), mt_rand(1, 1 << 30));
        if ($em->getRepository(Collector::class)->findOneBy(['email' => $email])) {
            continue;
        }
        $one = new Collector();
        [$one->name, $one->email, $one->instituteCode] = ["Collector $line", $email, 'INS' . mt_rand(1, 50)];
        $em->persist($one);
    }
    $em->flush();
    return [];
};

$pages['import_stock'] = function (EntityManager $em): array {
    $numbers = array_map(fn () => mt_rand(1, 750), range(1, size()));
    sort($numbers);
    foreach ($numbers as $line => $number) {
        if (!$one = $em->getRepository(Accession::class)->findOneBy(['number' => "AC$number"])) {
            $one = new Accession();
            [$one->number, $one->species, $one->site] = [uniqid("N$line."), $em->getReference(Species::class, 1), $em->getReference(Site::class, 1)];
            [$one->collector, $one->received, $one->state] = [$em->getReference(Collector::class, 1), new DateTimeImmutable('2024-01-01'), 'drying'];
            $em->persist($one);
        }
        $one->seeds = mt_rand(60, 900);
    }
    $em->flush();
    return [];
};

$pages['bulk_insert'] = function (EntityManager $em): array {
    for ($line = 1, $lines = size(); $line <= $lines; $line++) {
        $one = new Temperature();
        [$one->shelf, $one->taken, $one->degrees] = [$em->getReference(Shelf::class, mt_rand(1, 80)), new DateTimeImmutable('2026-09-01'), -20];
        $em->persist($one);
        if ($line % 10 === 0) {
            $em->flush();
            $em->clear();
        }
    }
    $em->flush();
    return [];
};

$pages['bulk_update'] = function (EntityManager $em): array {
    $rows = $em->createQuery('SELECT a FROM Accession a WHERE a.id > :first ORDER BY a.id')->setParameter('first', mt_rand(1, 600))
        ->setMaxResults(size())->getResult();
    foreach ($rows as $one) {
        $one->seeds += 1;
    }
    $em->flush();
    return [];
};

$pages['worker'] = function (EntityManager $em): array {
    $next = $em->createQuery("SELECT n FROM Notice n WHERE n.queue = :queue AND n.state = 'waiting' ORDER BY n.id")
        ->setParameter('queue', mt_rand(1, 10))->setMaxResults(1);
    for ($done = mt_rand(5, 12); $done > 0; $done--) {
        $em->wrapInTransaction(function () use ($next): void {
            if ($notice = $next->setLockMode(LockMode::PESSIMISTIC_WRITE)->getOneOrNullResult()) {
                $notice->state = 'sent';
            }
        });
    }
    return [];
};

$pages['poll'] = function (EntityManager $em): array {
    $one = $em->find(SeedRequest::class, mt_rand(1, 500));
    for ($wait = mt_rand(5, 9); $wait > 0; $wait--) {
        usleep(2000);
        $em->refresh($one);
    }
    shown($one->state);
    return [];
};

$pages['retry'] = function (EntityManager $em): array {
    $vault = $em->find(Vault::class, mt_rand(1, 8));
    for ($stale = mt_rand(5, 8); $stale > 0; $stale--) {
        try {
            $em->lock($vault, LockMode::OPTIMISTIC, $vault->version - ($stale > 1 ? 1 : 0));
        } catch (OptimisticLockException) {
            $em->refresh($vault);
        }
    }
    $vault->name = 'Vault ' . mt_rand(1, 1000);
    try {
        $em->flush();
    } catch (OptimisticLockException) {
        shown('changed by somebody else');
    }
    return [];
};

$pages['loader'] = function (EntityManager $em): array {
    $lots = $em->getRepository(Lot::class)->packed(size());
    $load = fn (string $class, array $ids) => $em->getRepository($class)->findBy(['id' => array_values(array_unique($ids))]);
    $accessions = $load(Accession::class, array_map(fn ($l) => $l->accession->id, $lots));
    $load(Species::class, array_map(fn ($a) => $a->species->id, $accessions));
    $load(Shelf::class, array_map(fn ($l) => $l->shelf->id, $lots));
    foreach ($lots as $one) {
        shown($one->accession->number, $one->accession->species->name, $one->shelf->code);
    }
    return [];
};

$pages['remembered'] = function (EntityManager $em): array {
    $countries = $em->getRepository(Country::class)->findAll();
    shown(count($countries));
    foreach ($em->getRepository(Site::class)->findBy([], ['name' => 'ASC'], size(), mt_rand(0, 60)) as $one) {
        shown($one->name, $one->country->name);
    }
    return [];
};

$pages['calendar'] = function (EntityManager $em): array {
    $first = (new DateTimeImmutable('2026-01-05'))->modify('+' . mt_rand(0, 20) . ' weeks');
    for ($day = 0; $day < 14; $day++) {
        $at = $first->modify("+$day days");
        shown($em->createQuery('SELECT COUNT(r.id) FROM SeedRequest r WHERE r.made >= :start AND r.made < :end')
            ->setParameters(['start' => $at, 'end' => $at->modify('+1 day')])->getSingleScalarResult());
    }
    return [];
};

$pages['scan'] = function (EntityManager $em): array {
    foreach ($em->getRepository(SeedRequest::class)->open(size()) as $one) {
        shown($one->state);
    }
    for ($beep = mt_rand(5, 15); $beep > 0; $beep--) {
        $lot = $em->getRepository(Lot::class)->findOneBy(['barcode' => 'LOT' . mt_rand(1, 1800)]);
        shown($lot?->seeds);
    }
    return [];
};

$pages['rights'] = function (EntityManager $em): array {
    $me = mt_rand(1, 90);
    foreach ($em->getRepository(SeedRequest::class)->open(size()) as $one) {
        $role = $em->createQuery('SELECT s.role FROM Staff s WHERE s.id = :me')->setParameter('me', $me)->getSingleScalarResult();
        shown($one->state, $role === 'curator' ? 'edit' : '');
    }
    return [];
};

$pages['search'] = function (EntityManager $em): array {
    $word = '%' . mt_rand(10, 99) . '%';
    $fields = [[Species::class, 'name'], [CommonName::class, 'name'], [Accession::class, 'number'], [Collector::class, 'name'],
        [Site::class, 'name'], [Institute::class, 'name'], [Lot::class, 'barcode']];
    foreach ($fields as [$class, $field]) {
        $found = $em->createQueryBuilder()->select('x')->from($class, 'x')->where("x.$field LIKE :word")->setParameter('word', $word)
            ->setMaxResults(5)->getQuery()->getResult();
        shown(count($found));
    }
    return [];
};

$pages['newest'] = function (EntityManager $em): array {
    foreach ($em->getRepository(Accession::class)->findBy([], ['received' => 'DESC'], 3, mt_rand(0, 20)) as $one) {
        shown($one->number, count($one->lots));
    }
    return [];
};

$pages['compare'] = function (EntityManager $em): array {
    foreach ([mt_rand(1, 60), mt_rand(61, 120)] as $id) {
        $one = $em->find(Species::class, $id);
        shown($one->name, count($one->accessions), ...$one->commonNames->map(fn ($n) => $n->name));
        shown($em->createQuery('SELECT SUM(a.seeds) FROM Accession a WHERE a.species = :species')->setParameter('species', $one)->getSingleScalarResult());
    }
    return [];
};

$pages['taxa_levels'] = function (EntityManager $em): array {
    $level = [mt_rand(1, 5)];
    while ($level) {
        $below = $em->createQuery('SELECT t FROM Taxon t WHERE t.parent IN (:level)')->setParameter('level', $level)->getResult();
        $level = array_map(fn ($t) => $t->id, $below);
    }
    return [];
};

$pages['window'] = function (EntityManager $em): array {
    $rows = $em->getRepository(Lot::class)->packed(size());
    $tests = $em->getConnection()->fetchAllAssociative(
        'SELECT * FROM (SELECT g.lot_id, g.sown, g.sprouted, ROW_NUMBER() OVER (PARTITION BY g.lot_id ORDER BY g.sown DESC) AS place
         FROM germination g WHERE g.lot_id IN (?)) ranked WHERE place <= 3',
        [array_map(fn ($l) => $l->id, $rows)],
        [ArrayParameterType::INTEGER]
    );
    shown(...array_column($tests, 'sprouted'));
    return [];
};

return $pages;
