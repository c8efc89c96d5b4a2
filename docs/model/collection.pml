/* Garbage collection of a store, as docs/collection.md states it: same names for states and rules.
 * Run by scripts/model, which also takes the rules out one at a time (-DM_<RULE>) and expects spin to
 * find a lost checkpoint each time.
 *
 * The world: eight packs, two chunks, a few checkpoints. Pack OLD holds both chunks; checkpoint 0
 * lies in it and uses chunk 0, so chunk 1 is garbage that a writer may still deduplicate against.
 * Sets of packs, chunks and checkpoints are bit masks. Every labelled step is one system call or one
 * read of shared state; between steps anything else may happen. What is not modelled: bytes, damage,
 * the index (any durable chunk of a pack not known as condemned may be hit), space.
 *
 * Sizes: SAVES0, SAVES1 (per writer), COLLECTORS (one after the other; each may crash at every step),
 * REMOVALS. Variants: REMOTE (writer 1 is on another host and may be broken), POWER (everything
 * stops at once, and what was not synced may be gone), WRITER_DIES, PROGRESS (no crash, nobody gives
 * up: the collectors must reach the end).
 */

#ifndef SAVES0
#define SAVES0 1
#endif
#ifndef SAVES1
#define SAVES1 1
#endif
#ifndef COLLECTORS
#define COLLECTORS 2
#endif
#ifndef REMOVALS
#define REMOVALS 1
#endif

#define B(i) (1 << (i))
#define NP 8
#define NM (1 + SAVES0 + SAVES1)
#define ALL_CHECKPOINTS (B(NM) - 1)

/* Packs. */
#define OLD 0   /* closed long ago; chunks 0 and 1, checkpoint 0 */
#define OWN0 1  /* writer 0's */
#define OWN1 2  /* closed and empty; writer 1 continues it if it may */
#define NEW1 3  /* writer 1's, if not */
#define COPY0 4 /* the first collector's to get the lock, then COPY0 + 1, ... */
#define RMS 7   /* holds the tombstones that rm writes, if they are not in OLD */

/* The `collect` file. */
#define IDLE 0
#define CONDEMNED 1
#define MOVED 2
byte phase = IDLE;
byte epoch = 0;
byte list = 0;    /* packs condemned */
byte broken = 0;  /* packs of broken writers */
bit collect_lock = 0;

/* The packs directory and what the packs hold. */
#if SAVES1 > 0
#define AT_FIRST (B(OLD) | B(OWN1) | B(RMS))
#else
#define AT_FIRST (B(OLD) | B(RMS))
#endif
byte present = AT_FIRST;
byte held = 0;      /* locked; of another host: last mark not closed */
byte chunk_in[NP];  /* chunks written */
byte synced[NP];    /* chunks below the last mark */
byte ack[NP];       /* epoch acknowledged in this pack */
byte claim[NP];     /* packs claimed with it */
byte moved_to[NP];  /* moved record for this pack: its targets ... */
byte moved_in[NP];  /* ... and the packs that hold the record */

/* Checkpoints. */
byte uses[NM];      /* chunks */
byte relies[NM];    /* packs its manifest names */
byte copies[NM];    /* packs that hold the manifest */
byte tomb[NM];      /* packs that hold its tombstone */
byte acknowledged = B(0);
byte removed = 0;   /* rm answered success */

byte collectors_left = COLLECTORS;

#ifdef POWER
/* The same, as it would read after a power loss now. A step that syncs copies it over. */
byte d_phase = IDLE, d_epoch, d_list, d_broken;
byte d_present = AT_FIRST;
byte d_moved_in[NP], d_copies[NM], d_tomb[NM];
bit down = 0;
#define RUNS_WHILE_POWERED provided (!down)
#define SYNC_COLLECT d_phase = phase; d_epoch = epoch; d_list = list; d_broken = broken
#define SYNC_DIR d_present = present
#else
#define RUNS_WHILE_POWERED
#define SYNC_COLLECT skip
#define SYNC_DIR skip
#endif

hidden byte q, m_, r, holds_, t_;

#define VISIBLE(m) ((copies[m] & present) && !(tomb[m] & present))

/* Manifest's packs -> packs to read: what is missing is replaced as its moved record says. A pack
 * moves only into a later collector's, so one ascending pass follows whole chains. */
inline Resolve(from, to) {
  to = from; q = 0;
  do
  :: q < NP ->
     if
     :: (to & B(q)) && !(present & B(q)) && (moved_in[q] & present) ->
        to = (to & ~B(q)) | moved_to[q]
     :: else
     fi; q++
  :: else -> break
  od
}

inline Holdings(packs) {
  holds_ = 0; q = 0;
  do
  :: q < NP -> if :: packs & present & B(q) -> holds_ = holds_ | chunk_in[q] :: else fi; q++
  :: else -> break
  od
}

/* I1, I2, and that a removed checkpoint stays removed. Inside atomic steps only. */
inline CheckStore() {
  m_ = 0;
  do
  :: m_ < NM ->
     Resolve(relies[m_], r); Holdings(r);
     assert(!(removed & B(m_)) || !VISIBLE(m_));
     if
     :: (acknowledged & ~removed & B(m_)) ->
        assert(VISIBLE(m_) && !(r & ~present));           /* I1: it is there and whole ... */
        assert(!(uses[m_] & ~holds_))                       /* ... and lacks nothing */
     :: else ->
        assert(!VISIBLE(m_) || (r & ~present) || !(uses[m_] & ~holds_))  /* I2: whole or absent */
     fi; m_++
  :: else -> break
  od;
  q = 0; m_ = 0; r = 0; holds_ = 0
}

inline SyncPack(p) {
  synced[p] = chunk_in[p];
#ifdef POWER
  m_ = 0;
  do
  :: m_ < NM -> d_copies[m_] = d_copies[m_] | (copies[m_] & B(p));
     d_tomb[m_] = d_tomb[m_] | (tomb[m_] & B(p)); m_++
  :: else -> break
  od;
  q = 0;
  do
  :: q < NP -> d_moved_in[q] = (d_moved_in[q] & ~B(p)) | (moved_in[q] & B(p)); q++
  :: else -> break
  od;
  d_present = d_present | (present & B(p))
#endif
}

/* ---- Writer -------------------------------------------------------------------------------- */

/* What a writer knows of the last epoch it read, and the two lists of its unfinished save. */
#define PARENT_GONE (tomb[parent] & present)

/* Reads `collect`, then (a step later) tombstones and moved records; then the acknowledgement. */
inline ReadCollect() {
  atomic {
    seen = epoch;
    forgotten = (phase == IDLE -> 0 : list)
  }
}

inline Acknowledge() {
  atomic {
    if
    :: ack[own] < seen && forgotten ->
       d_step {
#ifndef M_NO_SUBSTITUTION
         Resolve(inherited, r); inherited = r;
#endif
         claim[own] = 0;
#ifndef M_NO_CLAIMS
         if
         :: saving ->
            claim[own] = forgotten & hits;
#ifndef M_NO_PARENT_CLAIMS
            if
            :: PARENT_GONE -> claim[own] = claim[own] | (forgotten & inherited)
            :: else
            fi
#endif
         :: else
         fi;
#endif
         ack[own] = seen; r = 0; q = 0
       }
    :: else
    fi
  }
}

proctype Writer(byte w; byte saves) RUNS_WHILE_POWERED {
  byte own, seen, forgotten, hits, inherited, parent, content, mine, k, first;
  bit saving;

  own = (w == 0 -> OWN0 : OWN1);
  first = (w == 0 -> 1 : 1 + SAVES0);

begin:
#ifdef M_LOCK_LATE
  ReadCollect();
#endif
  atomic { present = (w == 0 -> present | B(own) : present); held = held | B(own) }
#ifndef M_LOCK_LATE
  ReadCollect();
#endif
#ifndef M_CONTINUE_BLINDLY
  atomic {
    if
    :: own == OWN1 && ((forgotten & B(own)) || !(present & B(own))) ->
       held = held & ~B(own); own = NEW1; present = present | B(own); held = held | B(own); goto again
    :: else
    fi
  }
#endif
  goto start;
again:
  ReadCollect();
start:
  Acknowledge();
  do
  :: k < saves ->
     if
     :: k > 0 -> ReadCollect(); Acknowledge()
     :: else
     fi;
     /* Inherit: the parent's list, if the parent has no tombstone after `collect` was read. */
     atomic {
       saving = 1; hits = 0; mine = first + k;
       d_step {
         if
#ifndef M_STALE_PARENT
         :: PARENT_GONE || !(copies[parent] & present) -> inherited = 0; content = 0
         :: else ->
#else
         :: true ->
#endif
            Resolve(relies[parent], r); inherited = r; content = uses[parent]; r = 0; q = 0
         fi
       }
     }
     /* Deduplicate chunk 0 or 1 against what it may, or write it. */
     atomic {
       byte c;
       if
       :: c = 1
       :: (content & 1) == 0 -> c = 0
       fi;
       if
       :: content & B(c)
       :: !(content & B(c)) ->
          byte p = 0;
          do
#ifdef M_HIT_CONDEMNED
          :: p < NP && (present & B(p)) && (synced[p] & B(c)) -> hits = hits | B(p); break
#else
          :: p < NP && (present & ~forgotten & B(p)) && (synced[p] & B(c)) -> hits = hits | B(p); break
#endif
          :: p < NP -> p++
          :: p == NP -> chunk_in[own] = chunk_in[own] | B(c); break
          od;
          content = content | B(c); p = 0
       fi; c = 0
     }
     /* A long save looks again and acknowledges in the middle; a short one may not. */
     if
     :: epoch > seen && phase != IDLE -> ReadCollect(); Acknowledge()
     :: true
     fi;
stage:
     atomic {
       d_step {
         uses[mine] = content; relies[mine] = hits | inherited | B(own);
         copies[mine] = copies[mine] | B(own)
       }
     }
#ifdef WRITER_DIES
     if
     :: w == 0 -> goto dead
     :: true
     fi;
#endif
fsync:
     atomic { d_step { SyncPack(own); m_ = 0; q = 0 } }
checkBroken:
#ifndef M_NO_BROKEN_CHECK
     if
     :: (broken & B(own)) || !(present & B(own)) -> goto failed
     :: else
     fi;
#endif
acknowledgeSave:
     atomic {
       acknowledged = acknowledged | B(mine);
       saving = 0; parent = mine; hits = 0; inherited = 0; content = 0; k++;
       d_step { CheckStore() }
     }
  :: else -> break
  od;
  /* Idle: its thread goes on acknowledging; then it may end. */
end_idle:
  do
  :: epoch > seen && phase != IDLE -> ReadCollect(); Acknowledge()
#ifndef PROGRESS
  :: true -> break
#endif
  od;
#ifdef WRITER_DIES
dead:
#endif
failed:
#ifdef REMOTE
  assert(w == 1 || k == saves || !(broken & B(own)));
#else
#ifndef WRITER_DIES
  assert(k == saves);                                      /* I7: on one host every save commits */
#endif
#endif
  atomic { held = held & ~B(own); seen = 0; forgotten = 0; own = 0; saving = 0 }
}

/* ---- Collector ----------------------------------------------------------------------------- */

#ifdef PROGRESS
#define MAY_CRASH skip
#else
/* The last collector need not crash: being slow looks the same. */
#define MAY_CRASH if :: collectors_left > 0 -> goto crashed :: true fi
#endif

#define WAITED_FOR (held & ~broken)

inline Roots(out) {
  out = 0; m_ = 0;
  do
  :: m_ < NM ->
#ifdef M_LATE_TOMBSTONES
     if :: VISIBLE(m_) -> out = out | B(m_) :: else fi; m_++
#else
     if :: (copies[m_] & present) && !(tombs & B(m_)) -> out = out | B(m_) :: else fi; m_++
#endif
  :: else -> break
  od
}

#ifdef M_DROP_TOMBSTONES_WITH_LIST
#define STAYS_FOR(p) (~mylist)
#else
#ifdef M_DROP_LATE_TOMBSTONES
#define STAYS_FOR(p) (~B(p) & ~B(own))
#else
#define STAYS_FOR(p) (~B(p))
#endif
#endif

/* What of pack p must survive: chunks of roots that resolve to p, and its records. */
inline CopyPack(p) {
  moved_to[p] = 0; m_ = 0;
  do
  :: m_ < NM ->
     if
     :: roots & B(m_) ->
        Resolve(relies[m_], r);
        if
        :: (r & B(p)) && (uses[m_] & chunk_in[p]) ->
           chunk_in[own] = chunk_in[own] | (uses[m_] & chunk_in[p]); moved_to[p] = B(own)
        :: else
        fi;
        if
        :: copies[m_] & B(p) -> copies[m_] = copies[m_] | B(own)
        :: else
        fi
     :: else
     fi;
     /* A tombstone stays while any pack but its own holds its target: also one of this list, which is
      * unlinked sooner or later than this; and the collector's own, into which the target was just
      * copied because it is a root all the same (the tombstone is later than T0). */
     if
#ifndef M_DROP_TOMBSTONES
     :: (tomb[m_] & B(p)) && (copies[m_] & present & STAYS_FOR(p)) -> tomb[m_] = tomb[m_] | B(own)
#endif
     :: else
     fi; m_++
  :: else -> break
  od;
  moved_in[p] = B(own);
#ifndef M_DROP_MOVED
  /* A moved record stays while a root's resolution goes through it. */
  t_ = 0;
  do
  :: t_ < NP ->
     if
     :: t_ != p && (moved_in[t_] & B(p)) ->
        m_ = 0; r = 0;
        do
        :: m_ < NM -> if :: roots & B(m_) -> r = r | relies[m_] :: else fi; m_++
        :: else -> break
        od;
        q = 0;
        do
        :: q < NP -> if :: (r & B(q)) && (moved_in[q] & present) -> r = r | moved_to[q] :: else fi; q++
        :: else -> break
        od;
        if
        :: r & B(t_) -> moved_in[t_] = moved_in[t_] | B(own)
        :: else
        fi
     :: else
     fi; t_++
  :: else -> break
  od;
#endif
  t_ = 0; m_ = 0; r = 0; q = 0
}

proctype Collector() RUNS_WHILE_POWERED {
  byte own, mine, tombs, roots, p, kept, may, mylist;

#ifdef M_NO_COLLECT_LOCK
  atomic { own = COPY0 + COLLECTORS - collectors_left; collectors_left-- }
#else
  atomic { !collect_lock -> collect_lock = 1;
    own = COPY0 + COLLECTORS - collectors_left; collectors_left-- }
#endif
  if
  :: phase == MOVED -> mylist = list; goto unlink          /* Resume: the decision is made */
  :: else
  fi;
  /* Choose: tombstones of this moment, T0, are the only ones this epoch believes. */
  atomic {
    p = 0;
    do
    :: p < NM -> if :: tomb[p] & present -> tombs = tombs | B(p) :: else fi; p++
    :: else -> break
    od;
    skip; d_step { Roots(roots); m_ = 0 };
    mylist = list & present;
#ifdef REMOTE
    if
    :: held & (B(OWN1) | B(NEW1)) ->                       /* a person may break it (durable below) */
       broken = broken | (held & (B(OWN1) | B(NEW1)))
    :: true
    fi;
#endif
    may = present & (~held | broken);
#ifdef ANY_LIST
    p = 0;
    do
    :: p < NP -> if :: may & B(p) -> mylist = mylist | B(p) :: (~broken & B(p)) -> skip fi; p++
    :: else -> break
    od; p = 0;
#else
    if
    :: mylist = mylist | may
    :: mylist = mylist | (may & (B(OLD) | broken))
    :: mylist = mylist | (may & (~B(OLD) | broken))
    fi;
#endif
    may = 0;
    if
    :: mylist == 0 -> goto finished
    :: else
    fi
  }
condemn:
  atomic {
    present = present | B(own); held = held | B(own); ack[own] = epoch + 1;
#ifdef M_RESUME_SAME_EPOCH
    epoch = (phase == CONDEMNED -> epoch : epoch + 1);
#else
    epoch++;
#endif
    ack[own] = epoch;
    phase = CONDEMNED; list = mylist; mine = epoch
  }
  MAY_CRASH;
#ifdef POWER
  atomic { SYNC_COLLECT };
  MAY_CRASH;
#endif
  /* AwaitAcks: packs one after another; a condemned pack found held leaves the list. */
  p = 0;
  do
  :: p < NP ->
     atomic {
#ifndef M_NO_WAIT
       if
       :: !(WAITED_FOR & B(p)) || ack[p] >= mine
#ifndef PROGRESS
       :: (WAITED_FOR & B(p)) && ack[p] < mine && collectors_left > 0 -> goto gaveUp
#endif
       fi;
#endif
#ifndef M_KEEP_LOCKED
       if
       :: WAITED_FOR & mylist & B(p) -> kept = kept | B(p)
       :: else
       fi;
#endif
       p++
     }
  :: else -> break
  od;
  atomic {
    p = 0;
    do
    :: p < NP -> if :: ack[p] == mine -> kept = kept | claim[p] :: else fi; p++
    :: else -> break
    od;
    p = 0; mylist = mylist & ~kept; kept = 0
  }
  MAY_CRASH;
secondLook:
#ifndef M_NO_SECOND_LOOK
  atomic { d_step { Roots(roots); m_ = 0 } }
#endif
copy:
  atomic {
    p = 0;
    do
    :: p < NP -> if :: mylist & B(p) -> d_step { CopyPack(p) } :: else fi; p++
    :: else -> break
    od; p = 0; roots = 0; tombs = 0
  }
  MAY_CRASH;
#ifndef M_UNLINK_BEFORE_SYNC
  atomic { d_step { SyncPack(own); m_ = 0; q = 0 } }
  MAY_CRASH;
#endif
decide:
  atomic { phase = MOVED; list = mylist }
  MAY_CRASH;
#ifdef POWER
  atomic { SYNC_COLLECT };
  MAY_CRASH;
#endif
unlink:
  /* Packs of broken writers first, and durably, so that what they still write is never seen whole. */
#ifndef M_BROKEN_LAST
  atomic { present = present & ~(mylist & broken); d_step { CheckStore() } }
  MAY_CRASH;
#ifdef POWER
  atomic { if :: mylist & broken -> SYNC_DIR :: else fi };
  MAY_CRASH;
#endif
#endif
  /* Packs have random names: they go in any order. That order matters to a pack with a tombstone and
   * one with its target, so it is enough to let each of those go before or after the others. */
  atomic {
    if
    :: may = 0
    :: mylist & present & (B(OLD) | B(RMS)) -> may = B(OLD)
    fi
  }
  p = (may -> NP - 1 : 0);
  do
  :: p < NP ->
     if
     :: mylist & present & B(p) -> atomic { present = present & ~B(p); d_step { CheckStore() } }; MAY_CRASH
     :: else
     fi;
     if
     :: may && p == 0 -> break
     :: may && p > 0 -> p--
     :: else -> p++
     fi
  :: else -> break
  od;
  p = 0; may = 0;
#ifdef POWER
#ifndef M_NO_DIR_SYNC
  atomic { SYNC_DIR };
#endif
  MAY_CRASH;
#endif
  atomic { phase = IDLE; list = 0; broken = broken & present; SYNC_COLLECT }
  goto finished;
gaveUp:
crashed:
  skip;
finished:
  atomic {
#ifdef PROGRESS
    assert(phase == IDLE);                                 /* everybody acknowledged: it got through */
#endif
    held = held & ~B(own); collect_lock = 0;
    own = 0; mine = 0; tombs = 0; roots = 0; p = 0; kept = 0; mylist = 0; may = 0
  }
}

/* ---- rm, reader, power --------------------------------------------------------------------- */

proctype Remover() RUNS_WHILE_POWERED {
  byte m, n, where;
  do
  :: n < REMOVALS ->
     atomic {
       /* rm continues any pack that nobody holds: one of its own, or the very one of its target. */
       if
       :: where = RMS
       :: where = OLD
       fi;
       m = 0;
       do
       :: m < NM && VISIBLE(m) && (acknowledged & B(m)) && (present & ~list & ~held & B(where)) ->
          d_step {
            tomb[m] = tomb[m] | B(where); removed = removed | B(m);
#ifdef POWER
            d_tomb[m] = d_tomb[m] | B(where);
#endif
          }
          break
       :: m < NM -> m++
       :: m == NM -> break
       od; m = 0; where = 0; n++
     }
  :: else -> break
  od
}

#ifndef NO_READER
proctype Reader() RUNS_WHILE_POWERED {
  byte m, from, c, tries;
  atomic {
    if
    :: VISIBLE(0) -> m = 0
    :: NM > 1 && VISIBLE(1) && (acknowledged & B(1)) -> m = 1
    fi
  }
  from = relies[m];
  do
  :: c < 2 && !(uses[m] & B(c)) -> c++
  :: c < 2 && (uses[m] & B(c)) ->
     atomic {
       d_step { Holdings(from); t_ = holds_; holds_ = 0; q = 0 }
       if
       :: t_ & B(c) -> t_ = 0; c++
       :: else ->
          t_ = 0;
          if
          :: removed & B(m) -> goto notFound
          :: else
          fi;
          tries++;
#ifdef M_NO_SECOND_RESOLVE
          assert(false);
#endif
          assert(tries <= COLLECTORS)                      /* once an epoch at most, never in vain */
       fi
     }
     if
     :: tries > 0 -> d_step { Resolve(relies[m], r); from = r; r = 0; q = 0 }
     :: else
     fi
  :: c == 2 -> break
  od;
notFound:
  atomic { m = 0; from = 0; c = 0; tries = 0 }
}
#endif

#ifdef POWER
/* Once, at any moment: each thing not synced stays or goes; then everything acknowledged must be
 * there. What recovery and later epochs do with such a store is the ordinary protocol. */
proctype Power() {
  byte i;
  atomic {
    down = 1;
    i = 0;
    do
    :: i < NP ->
       if
       :: chunk_in[i] != synced[i] -> chunk_in[i] = synced[i]
       :: true
       fi;
       if
       :: (present ^ d_present) & B(i) -> present = present ^ B(i)
       :: true
       fi;
       moved_in[i] = d_moved_in[i]; i++
    :: else -> break
    od;
    i = 0;
    do
    :: i < NM -> copies[i] = d_copies[i]; tomb[i] = d_tomb[i]; i++
    :: else -> break
    od;
    i = 0; skip;
    d_step { CheckStore() }
  }
}
#endif

init {
  atomic {
    chunk_in[OLD] = 3; synced[OLD] = 3;
    uses[0] = 1; relies[0] = B(OLD); copies[0] = B(OLD);
#ifdef POWER
    d_copies[0] = B(OLD);
#endif
    run Writer(0, SAVES0);
#if SAVES1 > 0
    run Writer(1, SAVES1);
#endif
    byte i = 0;
    do
    :: i < COLLECTORS -> run Collector(); i++
    :: else -> i = 0; break
    od;
    run Remover();
#ifndef NO_READER
    run Reader();
#endif
#ifdef POWER
    run Power();
#endif
  }
}
