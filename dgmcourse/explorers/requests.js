// Asking Python, and waiting for its answer. Part of every script in which a hand drags; `script` in base.py joins the parts.

const PATIENCE = 4000; // ms without an answer, after which we say so
const SILENCE = "Python has not answered yet: it is busy, or was restarted (then run this cell again).";

// One request under way; of all that came meanwhile, the newest is asked for next.
class Requests {
  constructor(send) {
    this.send = send;
    this.name = Math.random().toString(36).slice(2); // tells the views of one widget apart
    this.count = 0;
    this.underWay = null;
    this.next = null;
  }

  ask(request) {
    this.next = request;
    this.pump();
  }

  pump() {
    if (this.underWay || !this.next) return;
    this.underWay = { ...this.next, id: `${this.name}:${++this.count}` };
    this.next = null;
    this.send(this.underWay);
  }

  // The request that this id answers, or null if it was another view's, or Python's own move.
  answered(id) {
    if (!this.underWay || this.underWay.id !== id) return null;
    const done = this.underWay;
    this.underWay = null;
    this.pump();
    return done;
  }
}
