"use strict";
// Replaces the changing part of the page with what the box pushes. While the
// box cannot be reached the page pales, so that nobody trusts old numbers.
const state = document.getElementById("state");
const events = new EventSource("/events");
events.onmessage = (e) => { state.innerHTML = e.data; state.classList.remove("stale"); };
events.onerror = () => state.classList.add("stale");
