(* What is claimed: the definitions that a reader of an exported theorem must
   understand, and nothing else.  Networks are functions over the reals; their
   weights are written as the bits of binary32 numbers, whose value is that of
   the IEEE 754 formalisation Flocq. *)
Require Import ZArith Reals List Uint63.
From Flocq Require Import IEEE754.Binary IEEE754.Bits.
Import ListNotations.
Local Open Scope R_scope.

(* The real number whose binary32 bits are w. *)
Definition weight (w : int) : R := B2R 24 128 (b32_of_bits (Uint63.to_Z w)).

(* A neuron: the bits of its bias and of its weights.  A layer: its neurons. *)
Definition neuron := (int * list int)%type.
Definition layer := list neuron.

Fixpoint dot (ws : list int) (x : list R) : R :=
  match ws, x with
  | w :: ws', a :: x' => weight w * a + dot ws' x'
  | _, _ => 0
  end.

Definition affine (l : layer) (x : list R) : list R :=
  map (fun n => dot (snd n) x + weight (fst n)) l.

Definition relu (a : R) : R := Rmax 0 a.

(* The layers in order, the first one that of the input; a ReLU after each but
   the last. *)
Fixpoint network (ls : list layer) (x : list R) : list R :=
  match ls with
  | [] => x
  | [l] => affine l x
  | l :: ls' => network ls' (map relu (affine l x))
  end.

(* Each row has as many weights as the layer before it has neurons (n inputs
   for the first one), so that dot leaves nothing out. *)
Fixpoint shaped (n : nat) (ls : list layer) : Prop :=
  match ls with
  | [] => True
  | l :: ls' => Forall (fun m => length (snd m) = n) l /\ shaped (length l) ls'
  end.

(* The inputs between the given bounds, ends included, one pair for each input;
   a bound m is the number m / 2^64. *)
Definition box := list (Z * Z).
Definition in_box (b : box) (x : list R) : Prop :=
  Forall2 (fun d a => IZR (fst d) / 2 ^ 64 <= a <= IZR (snd d) / 2 ^ 64) b x.

(* (m, k) is the decimal number m / 10^k. *)
Definition decimal := (Z * Z)%type.
Definition value (d : decimal) : R := IZR (fst d) / IZR (10 ^ snd d).

(* A row (c, d) of a property: c_0 y_0 + c_1 y_1 + ... <= d. *)
Definition row := (list Z * decimal)%type.
Fixpoint sum (c : list Z) (y : list R) : R :=
  match c, y with
  | a :: c', b :: y' => IZR a * b + sum c' y'
  | _, _ => 0
  end.
Definition row_true (y : list R) (r : row) : Prop :=
  sum (fst r) y <= value (snd r).

(* An output is unsafe if all rows of at least one conjunction are true. *)
Definition unsafe (cs : list (list row)) (y : list R) : Prop :=
  Exists (Forall (row_true y)) cs.

(* Rows have as many coefficients as there are outputs. *)
Definition rows_shaped (n : nat) (cs : list (list row)) : Prop :=
  Forall (Forall (fun r => length (fst r) = n)) cs.

(* A property: boxes, and for each the outputs that are unsafe there. *)
Definition property := list (box * list (list row)).

(* What the property says must not exist. *)
Definition counterexample (net : list layer) (p : property) (x : list R) :=
  Exists (fun g => in_box (fst g) x /\ unsafe (snd g) (network net x)) p.

(* The sizes fit: those of network, boxes and rows. *)
Definition well_formed (net : list layer) (p : property) (ins outs : nat) :=
  shaped ins net /\ length (last net []) = outs /\
  Forall (fun g => length (fst g) = ins /\ rows_shaped outs (snd g) /\
                   Forall (Forall (fun r => (0 <= snd (snd r))%Z)) (snd g)) p.

(* The other way round, where a property is violated: comparisons as they were
   written, a row and whether it is < rather than <=; and an input in the box
   that makes all of them true. *)
Definition comparison := (row * bool)%type.
Definition comparison_true (y : list R) (c : comparison) : Prop :=
  let (r, strict) := c in
  if strict then sum (fst r) y < value (snd r)
  else sum (fst r) y <= value (snd r).
Definition violation (net : list layer) (b : box) (cs : list comparison)
  (x : list R) : Prop :=
  in_box b x /\ Forall (comparison_true (network net x)) cs.

(* The sizes fit, as above. *)
Definition sizes_fit (net : list layer) (b : box) (cs : list comparison)
  (ins outs : nat) : Prop :=
  shaped ins net /\ length (last net []) = outs /\ length b = ins /\
  Forall (fun c => length (fst (fst c)) = outs /\
                   (0 <= snd (snd (fst c)))%Z) cs.
