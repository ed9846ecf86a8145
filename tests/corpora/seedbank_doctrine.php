<?php
// Corpus "seedbank": the application. A seed bank on Doctrine, in six worker processes.
//   php seedbank_doctrine.php fill  PORT FOLDER
//   php seedbank_doctrine.php serve PORT FOLDER COUNT SEED transaction|autocommit TRUTH
declare(strict_types=1);

require_once 'Doctrine/ORM/autoload.php';
require_once __DIR__ . '/seedbank_entities.php';
$pages = require __DIR__ . '/seedbank_pages.php';

use Doctrine\DBAL\Connection;
use Doctrine\DBAL\Driver;
use Doctrine\DBAL\Driver\Middleware;
use Doctrine\DBAL\Driver\Middleware\AbstractConnectionMiddleware;
use Doctrine\DBAL\Driver\Middleware\AbstractDriverMiddleware;
use Doctrine\DBAL\Driver\Result;
use Doctrine\DBAL\Driver\Statement;
use Doctrine\DBAL\DriverManager;
use Doctrine\ORM\Configuration;
use Doctrine\ORM\EntityManager;
use Doctrine\ORM\Mapping\Driver\AttributeDriver;
use Doctrine\ORM\Mapping\UnderscoreNamingStrategy;
use Doctrine\ORM\Tools\SchemaTool;
use Symfony\Component\Cache\Adapter\ArrayAdapter;

const LEAST = 5;
const WORKERS = 6;

/** A request's id goes into each of its statements. */
final class NamedConnection extends AbstractConnectionMiddleware
{
    public static string $comment = '';

    public function prepare(string $sql): Statement
    {
        return parent::prepare($sql . self::$comment);
    }

    public function query(string $sql): Result
    {
        return parent::query($sql . self::$comment);
    }

    public function exec(string $sql): int
    {
        return parent::exec($sql . self::$comment);
    }
}

final class Naming implements Middleware
{
    public function wrap(Driver $driver): Driver
    {
        return new class ($driver) extends AbstractDriverMiddleware {
            public function connect(array $params)
            {
                return new NamedConnection(parent::connect($params));
            }
        };
    }
}

function configuration(string $folder): Configuration
{
    $config = new Configuration();
    $config->setMetadataDriverImpl(new AttributeDriver([__DIR__]));
    $config->setNamingStrategy(new UnderscoreNamingStrategy(CASE_LOWER, true));
    $config->setMetadataCache(new ArrayAdapter(0, false));
    $config->setQueryCache(new ArrayAdapter(0, false));
    $config->setProxyDir($folder);
    $config->setProxyNamespace('Proxies');
    $config->setAutoGenerateProxyClasses(false);
    $config->setMiddlewares([new Naming()]);
    return $config;
}

function connection(Configuration $config, int $port): Connection
{
    return DriverManager::getConnection(['driver' => 'pdo_mysql', 'host' => '127.0.0.1', 'port' => $port, 'user' => 'root', 'dbname' => 'shop', 'charset' => 'utf8mb4'], $config);
}

function fill(int $port, string $folder): void
{
    mt_srand(4242);
    $config = configuration($folder);
    $db = connection($config, $port);
    $em = new EntityManager($db, $config);
    $classes = array_filter(get_declared_classes(), fn ($c) => (new ReflectionClass($c))->getAttributes(Doctrine\ORM\Mapping\Entity::class) !== []);
    $metadata = array_map(fn ($c) => $em->getClassMetadata($c), array_values($classes));
    (new SchemaTool($em))->createSchema($metadata);
    $em->getProxyFactory()->generateProxyClasses($metadata);
    $db->executeStatement('CREATE INDEX notice_queue ON notice (queue)');

    $some = fn (int $last): int => mt_rand(1, $last);
    $pick = fn (array $list): mixed => $list[mt_rand(0, count($list) - 1)];
    $when = fn (int $days): string => date('Y-m-d H:i:s', strtotime('2026-01-05') + mt_rand(0, $days * 86400));
    $later = fn (string $from, int $hours): string => date('Y-m-d H:i:s', strtotime($from) + mt_rand(3600, $hours * 3600));
    $make = function (string $table, int $many, callable $row) use ($db): void {
        $rows = array_map($row, range(1, $many));
        foreach (array_chunk($rows, 400) as $chunk) {
            $values = array_map(fn ($r) => '(' . implode(',', array_map(fn ($v) => $v === null ? 'NULL' : $db->quote((string) $v), $r)) . ')', $chunk);
            $db->executeStatement("INSERT IGNORE INTO $table (" . implode(',', array_keys($rows[0])) . ') VALUES ' . implode(',', $values));
        }
    };
    $codes = array_map(fn ($i) => chr(65 + $i % 26) . chr(65 + intdiv($i, 2) % 26), range(0, 29));
    $span = function (int $days, int $hours) use ($when, $later): array {
        $starts = $when($days);
        return ['starts' => $starts, 'ends' => $later($starts, $hours)];
    };
    $make('taxon', 90, fn ($i) => ['name' => "Taxon $i", 'parent_id' => $i <= 5 ? null : $some(min($i - 1, 25))]);
    $make('country', 30, fn ($i) => ['code' => $codes[$i - 1], 'name' => "Country $i"]);
    $make('species', 140, fn ($i) => ['name' => "Species {$some(9999)}", 'status' => $pick(['rare', 'rare', 'common']), 'taxon_id' => $some(90)]);
    $make('common_name', 420, fn ($i) => ['species_id' => $some(140), 'language' => $pick(['de', 'en', 'fr', 'cs']), 'name' => "it's no. $i"]);
    $make('site', 160, fn ($i) => ['name' => "Site {$some(9999)}", 'altitude' => $some(3000), 'country_code' => $codes[$some(30) - 1]]);
    $make('closure', 300, fn ($i) => ['site_id' => $some(160)] + $span(200, 400));
    $make('institute', 50, fn ($i) => ['code' => "INS$i", 'name' => "Institute {$some(9999)}"]);
    $make('collector', 150, fn ($i) => ['name' => "Collector {$some(9999)}", 'email' => "c$i@example.org", 'institute_code' => "INS{$some(50)}"]);
    $make('expedition', 90, fn ($i) => ['name' => "Expedition $i", 'site_id' => $some(160)] + $span(200, 300));
    $make('expedition_collector', 400, fn ($i) => ['expedition_id' => $some(90), 'collector_id' => $some(150)]);
    $make('donor', 90, fn ($i) => ['name' => "Donor {$some(9999)}"]);
    $make('agreement', 60, fn ($i) => ['donor_id' => $i, 'signed' => $when(200)]);
    $make('keyword', 40, fn ($i) => ['word' => "word$i"]);
    $make('accession', 700, fn ($i) => ['number' => "AC$i", 'species_id' => $some(140), 'site_id' => $some(160), 'collector_id' => $some(150),
        'expedition_id' => $i % 3 ? $some(90) : null, 'received' => $when(200), 'state' => $pick(['stored', 'stored', 'drying']), 'seeds' => $some(900)]);
    $make('accession_keyword', 1400, fn ($i) => ['accession_id' => $some(700), 'keyword_id' => $some(40)]);
    $make('vault', 8, fn ($i) => ['name' => "Vault $i", 'version' => 1]);
    $make('shelf', 80, fn ($i) => ['vault_id' => 1 + $i % 8, 'code' => "S$i"]);
    $make('temperature', 1600, fn ($i) => ['shelf_id' => $some(80), 'taken' => $when(200), 'degrees' => -$some(25)]);
    $make('lot', 1800, fn ($i) => ['barcode' => "LOT$i", 'accession_id' => $some(700), 'shelf_id' => $some(80), 'seeds' => $some(300), 'packed' => $when(200)]);
    $make('staff', 90, fn ($i) => ['name' => "Staff {$some(9999)}", 'role' => $pick(['curator', 'technician', 'clerk'])]);
    $make('duty', 500, fn ($i) => ['staff_id' => $some(90), 'bench' => "B{$some(9)}"] + $span(200, 12));
    $make('germination', 2600, fn ($i) => ['lot_id' => $some(1800), 'technician_id' => $some(90), 'sown' => $when(200), 'seeds' => 50, 'sprouted' => $some(50)]);
    $make('reading', 6000, fn ($i) => ['germination_id' => $some(2600), 'day' => $some(28), 'sprouted' => $some(50)]);
    $make('requester', 180, fn ($i) => ['name' => "Requester {$some(9999)}", 'email' => "r$i@example.org", 'institute_id' => $some(50)]);
    $make('seed_request', 500, fn ($i) => ['requester_id' => $some(180), 'state' => $pick(STATES), 'made' => $when(200)]);
    $make('request_item', 2000, fn ($i) => ['seed_request_id' => $some(500), 'accession_id' => $some(700), 'seeds' => $some(60)]);
    $make('shipment', 260, fn ($i) => ['seed_request_id' => $some(500), 'country_code' => $codes[$some(30) - 1], 'taxon_id' => $some(12), 'sent' => $when(200)]);
    $make('import_rule', 360, fn ($i) => ['country_code' => $codes[($i - 1) % 30], 'taxon_id' => 1 + intdiv($i - 1, 30), 'papers' => "P$i"]);
    $make('sensor', 120, fn ($i) => ['name' => "Sensor $i", 'kind' => $pick(['sensor', 'door', 'cold']), 'openings' => null, 'coldest' => null]);
    $make('alarm', 600, fn ($i) => ['sensor_id' => $some(120), 'raised' => $when(200), 'level' => $some(5)]);
    $kinds = ['accession' => 700, 'lot' => 1800, 'species' => 140];
    $make('history', 800, function ($i) use ($kinds, $pick, $some, $when) {
        $kind = $pick(array_keys($kinds));
        return ['subject_kind' => $kind, 'subject_id' => $some($kinds[$kind]), 'action' => "a$i", 'made' => $when(200)];
    });
    $make('notice', 700, fn ($i) => ['seed_request_id' => $some(500), 'queue' => $some(10), 'state' => $pick(['held', 'waiting'])]);
    $make('setting', 56, fn ($i) => ['vault_id' => 1 + intdiv($i - 1, 7), 'name' => SETTINGS[($i - 1) % 7], 'value' => "v$i"]);
}

/** @return ?int the number of the next request, counted over all workers */
function next_number(string $counter, int $count): ?int
{
    $file = fopen($counter, 'c+');
    flock($file, LOCK_EX);
    $number = (int) stream_get_contents($file);
    rewind($file);
    fwrite($file, (string) ($number + 1));
    fclose($file);
    return $number < $count ? $number : null;
}

/** Requests one after the other: in transactions on a connection that the worker keeps, or in autocommit on one of their own. */
function work(array $pages, array $jobs, int $port, string $folder, int $seed, string $mode, string $truth): void
{
    $config = configuration($folder);
    $kept = $mode === 'transaction' ? connection($config, $port) : null;
    $out = fopen($truth, 'w');
    while (($number = next_number("$folder/counter", count($jobs))) !== null) {
        $route = $jobs[$number];
        mt_srand($seed * 1_000_003 + $number);
        $db = $kept ?? connection($config, $port);
        $em = new EntityManager($db, $config);
        NamedConnection::$comment = " /*request_id='$seed-$number',route='$route'*/";
        $start = microtime(true);
        $calls = $kept && !in_array($route, OWN, true) ? $em->wrapInTransaction($pages[$route]) : $pages[$route]($em);
        $found = array_keys(array_filter($calls, fn ($n) => $n >= LEAST));
        sort($found);
        fwrite($out, json_encode(['route' => $route, 'start' => round($start, 6), 'end' => round(microtime(true), 6), 'session' => '',
            'unit' => null, 'request' => "$seed-$number", 'n_plus_one' => $found]) . "\n");
        $em->clear();
        if (!$kept) {
            $db->close();
        }
        usleep(3000);
    }
    fclose($out);
}

function serve(array $pages, int $port, string $folder, int $count, int $seed, string $mode, string $truth): void
{
    mt_srand($seed);
    $jobs = [];
    while (count($jobs) < $count) {
        $round = array_keys($pages);
        shuffle($round);
        array_push($jobs, ...$round);
    }
    $jobs = array_slice($jobs, 0, $count);
    @unlink("$folder/counter");
    $workers = [];
    for ($i = 0; $i < WORKERS; $i++) {
        if (!$pid = pcntl_fork()) {
            work($pages, $jobs, $port, $folder, $seed, $mode, "$truth.$i");
            exit(0);
        }
        $workers[] = $pid;
    }
    $failed = false;
    foreach ($workers as $pid) {
        pcntl_waitpid($pid, $status);
        $failed = $failed || pcntl_wexitstatus($status) !== 0;
    }
    $lines = array_merge(...array_map(fn ($i) => file("$truth.$i"), range(0, WORKERS - 1)));
    usort($lines, fn ($a, $b) => json_decode($a)->start <=> json_decode($b)->start);
    file_put_contents($truth, $lines);
    exit($failed ? 1 : 0);
}

error_reporting(E_ALL & ~E_DEPRECATED & ~E_USER_DEPRECATED);
[, $verb, $port, $folder] = $argv;
if ($verb === 'fill') {
    fill((int) $port, $folder);
} else {
    serve($pages, (int) $port, $folder, (int) $argv[4], (int) $argv[5], $argv[6], $argv[7]);
}
